"""One question to a chat provider: in a form that it knows, again while it is down, and what it cost."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx

from adapters.net.http import HttpExchange, raise_for_refusal, retry_after_s
from adapters.net.replies import HttpReply
from domain.errors import InvalidReply, ProviderUnavailable
from domain.idea_providers import IdeaRequest, Usage

from .chat_errors import ReportedError, reported_error
from .chat_forms import ChatForm, next_form, request_in
from .chat_reply import token_usage

#: Every error: what it means stands in its body.
_ERRORS = range(400, 600)


class ChatExchange:
    """Asks one model of one provider. Threads may share one.

    Parameters:
        exchange: sends the requests.
        url: where completions are asked of.
        headers: with the key.
        model: the model's name.
        provider: how usage names the provider.
        monotonic: seconds on a clock that never goes back.

    Example:
        >>> ChatExchange(exchange, url=url, headers={}, model="small-1", provider="a", monotonic=time.monotonic)
    """

    def __init__(
        self,
        exchange: HttpExchange,
        *,
        url: httpx.URL,
        headers: Mapping[str, str],
        model: str,
        provider: str,
        monotonic: Callable[[], float],
    ) -> None:
        self._exchange = exchange
        self._url = url
        self._headers = headers
        self._model = model
        self._provider = provider
        self._monotonic = monotonic
        #: The strictest form that the provider takes, as far as is known.
        self._form = ChatForm.BOUNDED_SCHEMA

    def ask(
        self,
        request: IdeaRequest,
        deadline: float,
        on_usage: Callable[[Usage], None],
        *,
        insists: bool = False,
    ) -> bytes:
        """The body of a reply that reports no error.

        Parameters:
            request: what to ask for.
            deadline: when all has to be over, on the clock.
            on_usage: called once for every reply that cost tokens, errors included.
            insists: whether an answer could not be read before. Default False.

        Raises:
            ProviderUnavailable: it cannot be reached, or reports a fault of its own, by status or in the body.
            AuthFailed: it refused our key.
            QuotaExhausted: the account has no quota or credit left.
            InvalidReply: it refuses the request in every form.
        """
        form: ChatForm | None = self._form
        while form is not None:
            body = {"model": self._model, **request_in(form, request, insists=insists)}
            try:
                reply = self._exchange.repeat(
                    lambda body=body: self._attempt(body, deadline, on_usage),  # type: ignore[misc]
                    timeout_s=deadline - self._monotonic(),
                )
            except _FormRefused as refused:
                form = next_form(form, refused.reported.words)
                if form is None:
                    raise refused.reported.as_error(self._url.host) from None
                continue
            self._form = form
            return reply.body
        raise AssertionError("the last form ends with a reply or an error")

    def _attempt(
        self, body: dict[str, object], deadline: float, on_usage: Callable[[Usage], None]
    ) -> HttpReply:
        reply = self._exchange.send(
            httpx.Request("POST", self._url, headers=self._headers, json=body),
            timeout_s=deadline - self._monotonic(),
            repeatable=False,
            taken=_ERRORS,
        )
        tokens = token_usage(reply.body)
        if tokens is not None:
            # Before anything is made of the reply: it has been paid for, usable or not.
            on_usage(
                Usage(
                    provider=self._provider,
                    model=self._model,
                    prompt_tokens=tokens.prompt_tokens,
                    completion_tokens=tokens.completion_tokens,
                )
            )
        reported = reported_error(reply.body, reply.status if reply.status in _ERRORS else None)
        if reported is not None:
            self._raise(reported, reply)
        raise_for_refusal(reply, self._url.host)
        return reply

    def _raise(self, reported: ReportedError, reply: HttpReply) -> None:
        if reported.refuses_form:
            raise _FormRefused(reported)
        error = reported.as_error(self._url.host)
        if isinstance(error, ProviderUnavailable):
            asked_s = retry_after_s(reply.headers.get("Retry-After"), datetime.now(UTC))
            error.retry_after_s = error.retry_after_s if asked_s is None else asked_s
        raise error


class _FormRefused(InvalidReply):
    """The provider takes no request like this one."""

    def __init__(self, reported: ReportedError) -> None:
        super().__init__("the form of the request was refused")
        self.reported = reported
