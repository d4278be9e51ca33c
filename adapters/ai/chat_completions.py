"""Ideas from a chat model: a client for any endpoint that speaks the chat-completions protocol."""

import logging
import time
from collections.abc import Callable

import httpx
from pydantic import SecretStr

from adapters.net.http import HttpExchange, raise_for_refusal
from domain.errors import InvalidReply
from domain.idea_providers import IdeaRequest, Usage
from domain.ideas import IdeaDraft

from .chat_prompt import prompt
from .chat_reply import drafts_in, response_format, token_usage

#: Bound on one call of the generator, retries and a second asking included, in seconds.
TIMEOUT_S = 60.0

logger = logging.getLogger(__name__)


class ChatCompletionsGenerator:
    """An `IdeaGenerator` over HTTP, with structured output.

    A reply that does not parse is asked for once more. Asking twice costs tokens and does no other harm, so
    outages are retried as `HttpExchange` does. The key appears in no error, log or repr.

    Parameters:
        exchange: sends the requests. Its bound on one attempt applies too: it should not be below `timeout_s`
            for models that take their time.
        base_url: where the API begins, `https://api.example.com/v1`; `/chat/completions` is added.
        api_key: sent as a bearer token; None for endpoints without one.
        model: the model's name.
        name: how logs and usage name the provider. Default: the host of `base_url`.
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
        timeout_s: float = TIMEOUT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not model:
            raise ValueError("model is empty; name the model to ask")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s}")
        self._exchange = exchange
        self._url = _endpoint(base_url)
        self._headers = _authorization(api_key)
        self._model = model
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self.name = name or self._url.host

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> list[IdeaDraft]:
        """See `IdeaGenerator.generate`."""
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        deadline = self._monotonic() + limit_s
        body = self._ask(request, deadline, on_usage)
        try:
            return drafts_in(body, request.count)
        except InvalidReply as error:
            logger.warning("Reply of %s did not parse (%s); asking once more.", self.name, error)
        return drafts_in(self._ask(request, deadline, on_usage), request.count)

    def _ask(self, request: IdeaRequest, deadline: float, on_usage: Callable[[Usage], None]) -> bytes:
        body = {"model": self._model, "messages": prompt(request), "response_format": response_format()}
        reply = self._exchange.send(
            httpx.Request("POST", self._url, headers=self._headers, json=body),
            timeout_s=deadline - self._monotonic(),
            repeatable=True,
        )
        raise_for_refusal(reply, self._url.host)
        tokens = token_usage(reply.body)
        if tokens is not None:
            # Before anything is made of the reply: it has been paid for, usable or not.
            on_usage(
                Usage(
                    provider=self.name,
                    model=self._model,
                    prompt_tokens=tokens.prompt_tokens,
                    completion_tokens=tokens.completion_tokens,
                )
            )
        return reply.body


def _endpoint(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ValueError("base_url is not a URL; it should look like https://api.example.com/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must begin with http:// or https:// and name a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url may hold no credentials, query or fragment; the key goes into api_key")
    return url.copy_with(path=url.path.rstrip("/") + "/chat/completions")


def _authorization(api_key: SecretStr | None) -> dict[str, str]:
    if api_key is None:
        return {}
    key = api_key.get_secret_value()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        # Found here, it is not quoted by whoever fails to send it.
        raise ValueError("api_key is empty or no header can carry it; look for a stray space or line break")
    return {"Authorization": f"Bearer {key}"}
