"""Ideas from a chat model: a client for any endpoint that speaks the chat-completions protocol."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import httpx
from pydantic import SecretStr

from adapters.net.http import HttpExchange
from domain.errors import InvalidReply, JobError
from domain.idea_providers import Blemish, Drafts, IdeaRequest, Usage
from domain.ideas import IdeaDraft

from .chat_endpoint import KeyHeader, chat_url, key_headers
from .chat_exchange import ChatExchange
from .chat_reply import IdeasRead, ideas_in

#: Bound on one call of the generator, retries and further requests included, in seconds.
TIMEOUT_S = 60.0
#: Requests of one call, when a model writes so little at once that it has to be asked again and again.
MAX_REQUESTS = 10

logger = logging.getLogger(__name__)


class ChatCompletionsGenerator:
    """An `IdeaGenerator` over HTTP.

    Ideas are asked for by a schema where the provider knows how, else as JSON, else in words; what it knows is found
    out once. They are taken from wherever they lie in the reply, one by one. A reply without a single usable idea is
    asked for once more, in other words. A reply that was cut off is never asked for again: what is whole in it is
    kept, and the rest is asked for in smaller numbers. Asking twice costs tokens and does no other harm, so
    outages are retried as `HttpExchange` does. The key appears in no error, log or repr.

    Parameters:
        exchange: sends the requests. Its bound on one attempt applies too: it should not be below `timeout_s`
            for models that take their time.
        base_url: where the API begins, `https://api.example.com/v1`; `/chat/completions` is added, and a query
            like `?api-version=...` stays.
        api_key: the key; None for endpoints without one.
        model: the model's name.
        name: how logs and usage name the provider. Default: the host of `base_url`.
        key_header: how the key is sent: as a bearer token in `Authorization`, or as it is in `api-key`. Default:
            `api-key` for Azure's hosts and for addresses with an `api-version`.
        timeout_s: bound on one call, retries included. Default 60.
        monotonic: seconds on a clock that never goes back.

    Raises:
        ValueError: a setting cannot work. The message never holds the key.

    Example:
        >>> ChatCompletionsGenerator(
        ...     exchange, base_url="https://api.example.com/v1", api_key=SecretStr("..."), model="small-1"
        ... ).name
        'api.example.com'
    """

    def __init__(
        self,
        exchange: HttpExchange,
        *,
        base_url: str,
        api_key: SecretStr | None,
        model: str,
        name: str | None = None,
        key_header: KeyHeader | None = None,
        timeout_s: float = TIMEOUT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not model:
            raise ValueError("model is empty; name the model to ask")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s}")
        url: httpx.URL = chat_url(base_url)
        self.name = name or url.host
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._exchange = ChatExchange(
            exchange,
            url=url,
            headers=key_headers(url, api_key, key_header),
            model=model,
            provider=self.name,
            monotonic=monotonic,
        )
        #: How many ideas a reply had room for when the last one was cut off.
        self._room: int | None = None

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> Drafts:
        """See `IdeaGenerator.generate`."""
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        deadline = self._monotonic() + limit_s
        drafts: dict[str, IdeaDraft] = {}
        blemishes: list[Blemish] = []
        missing = 0
        is_unread = False
        for _ in range(MAX_REQUESTS):
            rest = request.count - len(drafts) - missing
            asked = self._part(request, rest, drafts)
            try:
                body = self._exchange.ask(asked, deadline, on_usage, insists=is_unread)
                read = self._read(body, asked.count, is_last=is_unread or bool(drafts))
            except JobError as error:
                if not drafts:
                    raise
                # What was paid for is kept; whoever wants the rest finds out what is wrong.
                logger.warning("%s gave no more ideas (%s).", self.name, error)
                break
            if read is None:
                is_unread = True
                continue
            before = len(drafts)
            for draft in read.drafts[:rest]:
                drafts.setdefault(draft.title.casefold(), draft)
            noted = self._blemishes(read, rest)
            blemishes += noted
            missing += sum(blemish.missing for blemish in noted)
            if len(drafts) + missing >= request.count:
                break
            if read.is_cut:
                self._room = max(1, min(len(read.drafts), asked.count - 1) or asked.count // 2)
                blemishes.append(Blemish(remark=f"{self.name}: a reply was cut off; the rest was asked for"))
            elif len(drafts) == before or asked.count == rest:
                break
        if not drafts:
            raise InvalidReply("no reply had room for an idea; raise the model's length limit")
        return Drafts(drafts.values(), blemishes)

    def _read(self, body: bytes, asked: int, *, is_last: bool) -> IdeasRead | None:
        try:
            read = ideas_in(body)
        except InvalidReply as error:
            if is_last:
                raise
            logger.warning("Reply of %s did not parse (%s); asking once more.", self.name, error)
            return None
        if read.is_cut and asked == 1 and not read.drafts:
            raise InvalidReply(
                "the reply was cut off before a single idea was complete; raise the length limit"
            )
        return read

    def _part(self, request: IdeaRequest, rest: int, drafts: dict[str, IdeaDraft]) -> IdeaRequest:
        titles = tuple(draft.title for draft in drafts.values())
        count = rest if self._room is None else min(rest, self._room)
        return replace(request, count=count, known_titles=(*request.known_titles, *titles))

    def _blemishes(self, read: IdeasRead, rest: int) -> list[Blemish]:
        # An idea beyond what was asked for is nothing that is missing.
        needed = max(0, rest - len(read.drafts))
        return [
            *(Blemish(remark=f"{self.name}: {each}") for each in read.mended),
            *(
                Blemish(remark=f"{self.name}: {each}", missing=int(number < needed))
                for number, each in enumerate(read.dropped)
            ),
        ]
