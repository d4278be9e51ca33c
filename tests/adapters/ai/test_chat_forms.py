"""How a provider is asked: in the strictest form it knows, for as much as fits its replies."""

import json
from typing import Any

import pytest

from adapters.net.http import HttpExchange
from domain.errors import InvalidReply, ProviderUnavailable
from domain.idea_providers import Usage

from .asking import answering, ask, asked, chat_generator, counts, form, ideas
from .completions import completion, idea
from .idea_requests import idea_request
from .scripted_server import ScriptedServer, answer

GOOD = completion([idea("One"), idea("Two")])


def knowing(*known: str) -> Any:
    """A provider that knows these forms and refuses others with a 400."""
    return lambda request: (200, GOOD) if form(request) in known else (400, b'{"error": {"message": "no"}}')


@pytest.mark.parametrize(
    ("known", "forms"),
    [
        ("json_schema", ["json_schema"]),
        ("json_object", ["json_schema", "json_object"]),
        ("words", ["json_schema", "json_object", "words"]),
    ],
)
def test_the_form_that_a_provider_knows_is_found_out_once(
    server: ScriptedServer, exchange: HttpExchange, known: str, forms: list[str]
) -> None:
    """The first call tries them in turn; the next one begins with what worked."""
    answering(server, knowing(known))
    generator = chat_generator(exchange, server)
    for _ in range(2):
        assert len(generator.generate(idea_request(), timeout_s=None, on_usage=lambda usage: None)) == 2

    assert [form(request) for request in asked(server)] == [*forms, known]


def test_without_a_schema_the_instructions_hold_it(server: ScriptedServer, exchange: HttpExchange) -> None:
    """Models that take no schema read it."""
    answering(server, knowing("words"))
    ask(exchange, server)
    *_, last = asked(server)

    assert '"maxLength":300' in last["messages"][0]["content"]
    assert "response_format" not in last


def test_a_strict_mode_without_bounds_gets_the_schema_without_them(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """Structured output is not given up for a keyword."""

    def strict(request: dict[str, Any]) -> tuple[int, bytes]:
        if "maxLength" in json.dumps(request["response_format"]):
            return (
                400,
                b'{"error": {"message": "\'maxLength\' is not permitted", "param": "response_format"}}',
            )
        return 200, GOOD

    answering(server, strict)

    assert len(ask(exchange, server)) == 2
    assert [form(request) for request in asked(server)] == ["json_schema", "json_schema"]


def test_the_bounds_stand_in_the_schema(server: ScriptedServer, exchange: HttpExchange) -> None:
    """A model that keeps to it cannot write what would be cut."""
    answering(server, knowing("json_schema"))
    ask(exchange, server)
    properties = asked(server)[0]["response_format"]["json_schema"]["schema"]["$defs"]["IdeaReply"][
        "properties"
    ]

    assert (properties["title"]["minLength"], properties["title"]["maxLength"]) == (1, 300)
    assert properties["outline"]["maxItems"] == 20
    assert properties["word_count"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 100_000}


@pytest.mark.parametrize("cause", ["context_length_exceeded", "model_not_found", "content_filter"])
def test_a_refusal_with_another_cause_is_not_asked_again(
    server: ScriptedServer, exchange: HttpExchange, cause: str
) -> None:
    """No other form makes a prompt shorter or a model known."""
    server.script(answer(400, json.dumps({"error": {"code": cause}}).encode()))
    with pytest.raises(InvalidReply):
        ask(exchange, server)

    assert len(server.received) == 1


def test_a_server_that_breaks_on_a_schema_is_asked_without(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """A 500 that speaks of the form is about the form."""

    def breaking(request: dict[str, Any]) -> tuple[int, bytes]:
        return (
            (200, GOOD) if form(request) == "words" else (500, b'{"error": "guided grammar: not compiled"}')
        )

    answering(server, breaking)

    assert len(ask(exchange, server)) == 2


@pytest.mark.parametrize(("fits", "wanted"), [(20, 50), (1, 5), (4, 11), (50, 50)])
@pytest.mark.parametrize("keeps_whole_ones", [True, False])
def test_a_reply_that_was_cut_off_is_asked_for_in_parts(
    server: ScriptedServer, exchange: HttpExchange, fits: int, wanted: int, *, keeps_whole_ones: bool
) -> None:
    """Never the same request twice; what is whole in a reply is kept; the rest comes in numbers that fit."""

    def short(request: dict[str, Any]) -> tuple[int, bytes]:
        number = len(server.received)
        count = counts(server)[-1]
        written = [idea(f"Title {number}.{each}") for each in range(min(count, fits))]
        whole = json.dumps({"ideas": written})
        if count <= fits:
            return 200, completion(content=whole)
        return 200, completion(
            content=whole[: -2 if keeps_whole_ones else 30] + ', {"ti', finish_reason="length"
        )

    answering(server, short)
    drafts = ask(exchange, server, count=wanted)

    assert len(drafts) == wanted
    assert len({received.body for received in server.received}) == len(server.received)
    assert len(server.received) <= 10
    assert bool(drafts.blemishes) == (fits < wanted)


def test_a_reply_without_room_for_one_idea_is_given_up(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """After one was asked for there is nothing smaller."""
    server.script(answer(200, completion(content='{"ideas": [{"title": "On', finish_reason="length")))
    with pytest.raises(InvalidReply, match="length limit"):
        ask(exchange, server, count=4)

    assert counts(server) == [4, 2, 1]


def test_an_end_in_the_middle_is_a_cut_whatever_is_said_of_it(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """Some servers say `stop` all the same."""
    cut = json.dumps({"ideas": [idea("One"), idea("Two")]})[:-40]
    server.script(answer(200, completion(content=cut)), ideas("Three"))

    assert [draft.title for draft in ask(exchange, server)] == ["One", "Three"]
    assert counts(server) == [2, 1]


def test_what_was_paid_for_is_kept_when_the_rest_does_not_come(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """An outage between two parts costs the rest alone."""
    cut = json.dumps({"ideas": [idea("One"), idea("Two")]})[:-40]
    server.script(answer(200, completion(content=cut, finish_reason="length")), answer(503))

    assert [draft.title for draft in ask(exchange, server, count=3)] == ["One"]


def test_the_second_request_says_that_the_first_answer_was_unreadable(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """The same words would bring the same answer, from a cache most likely."""
    server.script(answer(200, completion(content="Sorry?")), answer(200, GOOD))
    usages: list[Usage] = []
    assert len(ask(exchange, server, usages=usages)) == 2

    assert len({received.body for received in server.received}) == 2


def test_a_provider_that_is_down_is_not_asked_in_other_forms(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """An outage says nothing about what a provider knows."""
    server.script(answer(503, b"{}"))
    with pytest.raises(ProviderUnavailable):
        ask(exchange, server)

    assert {form(request) for request in asked(server)} == {"json_schema"}
