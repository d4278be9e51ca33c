"""Right ideas are taken in whatever they come, one by one, and paid for once."""

import json

import pytest
from hypothesis import given

from adapters.ai.chat_reply import ideas_in
from adapters.ai.found_json import found_json
from adapters.net.http import HttpExchange
from domain.errors import InvalidReply

from .asking import ask
from .completions import completion, idea
from .scripted_server import ScriptedServer, answer
from .shapes import Shape, shapes


@given(shape=shapes())
def test_every_right_idea_is_taken_from_every_shape(shape: Shape) -> None:
    """Whatever stands around them, the ideas that keep the rules come out, in their order, and no others."""
    titles, body = shape

    assert [draft.title for draft in ideas_in(body).drafts] == titles


@pytest.mark.parametrize(
    ("content", "titles"),
    [
        (completion([idea("One"), idea("Two", description="")]), ["One"]),
        (completion([idea("One", rating=5)]), ["One"]),
        (completion([idea("One", word_count=0)]), ["One"]),
        (completion([idea("O\x00ne")]), ["One"]),
        (completion([idea("One", description="half \ud800")]), ["One"]),
        (completion([idea("One", outline=["Flour", 7, {"heading": "Salt"}])]), ["One"]),
        (completion([idea("One", description="x" * 5_000)]), ["One"]),
    ],
    ids=["bad one", "extra", "length", "nul", "surrogate", "outline", "long"],
)
def test_a_blemish_is_not_paid_for_twice(
    server: ScriptedServer, exchange: HttpExchange, content: bytes, titles: list[str]
) -> None:
    """One request, and what can be used of its reply."""
    server.script(answer(200, content))

    assert [draft.title for draft in ask(exchange, server)] == titles
    assert len(server.received) == 1


def test_what_was_mended_or_dropped_is_said(server: ScriptedServer, exchange: HttpExchange) -> None:
    """Each idea by its number, with the reason, and nothing of what it says."""
    server.script(
        answer(200, completion([idea("One"), idea("Two", description=" "), idea("3", word_count=-1)]))
    )
    drafts = ask(exchange, server, count=3)

    assert [(blemish.remark, blemish.missing) for blemish in drafts.blemishes] == [
        ("first: idea 3: word_count was no number from 1 to 100000", 0),
        ("first: idea 2 has no usable description", 1),
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("900", 900),
        ("1,200 words", 1200),
        ("about 1.500", 1500),
        (900.0, 900),
        ("800-1000", 800),
        ("", None),
        ("1.5k", 1500),
        (899.6, 900),
    ],
)
def test_a_word_count_is_read_as_it_is_meant(written: object, read: int | None) -> None:
    """A number in words is a number."""
    assert ideas_in(completion([idea(word_count=written)])).drafts[0].word_count == read


def test_the_first_choice_that_says_something_is_read() -> None:
    """Some gateways begin with an empty one."""
    silent, good = {"message": {"content": None}}, json.loads(completion([idea("One")]))["choices"][0]
    body = json.dumps({"choices": [silent, good]}).encode()

    assert [draft.title for draft in ideas_in(body).drafts] == ["One"]


def test_an_answer_that_is_the_text_of_another_is_read() -> None:
    """JSON within JSON."""
    assert ideas_in(completion(content=json.dumps(json.dumps({"ideas": [idea("One")]})))).drafts


def test_ideas_that_were_only_considered_are_not_taken() -> None:
    """Of two lists the last one is the answer."""
    said = f"First: {json.dumps([idea('Old')])}. Better: {json.dumps({'ideas': [idea('New')]})}"

    assert [draft.title for draft in ideas_in(completion(content=said)).drafts] == ["New"]


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 50_000, '["' * 100_000, "[1" + "0" * 5_000 + "]", "{" * 9]
)
def test_hostile_text_holds_nothing_and_takes_no_time(text: str) -> None:
    """Nesting without end, numbers without end: nothing is found, within bounded work."""
    assert found_json(text).values in ([], [[]])


def test_a_hostile_body_is_an_unusable_reply() -> None:
    """Not a recursion error of ours."""
    with pytest.raises(InvalidReply):
        ideas_in(b"[" * 200_000)
