"""What is taken out of a message: whatever a contract marks, wherever it hides."""

import json
from typing import Annotated, Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr

from middleware import Contracts
from middleware.base.redaction import MAX_DEPTH, PLACEHOLDER, Redaction, as_text, mark_secrets, secret_paths
from middleware.dead_letters.guard import DeadLetters
from middleware.dead_letters.memory import MemoryDeadLetterStore

SECRET = 'hunter2"\\ü'
Marked = Annotated[str, Field(json_schema_extra={"secret": True})]


class Login(BaseModel):
    """A part with a secret."""

    user: str = ""
    password: SecretStr = SecretStr("")


class Everything(BaseModel):
    """Secrets at every kind of place."""

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

    plain: str = ""
    token: SecretStr | None = None
    key: SecretBytes = SecretBytes(b"")
    marked: Marked = ""
    aliased: Annotated[str, Field(alias="apiKey", json_schema_extra={"secret": True})] = ""
    pin: Annotated[int, Field(json_schema_extra={"secret": True})] = 0
    whole: Annotated[dict[str, str], Field(json_schema_extra={"secret": True})] = {}
    login: Login = Login()
    logins: list[Login] = []
    by_name: dict[str, SecretStr] = {}
    pair: tuple[int, SecretStr] = (0, SecretStr(""))
    either: int | Login = 0
    odd: Annotated[object, Field(default=None)]
    again: "Everything | None" = None


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"plain": SECRET}, []),
        ({"token": SECRET, "key": SECRET, "marked": SECRET}, ["key", "marked", "token"]),
        ({"aliased": SECRET}, ["aliased"]),
        ({"apiKey": SECRET}, ["apiKey"]),
        ({"pin": 123456}, ["pin"]),
        ({"whole": {"a": SECRET, "b": "c"}}, ["whole"]),
        ({"login": {"user": "me", "password": SECRET}}, ["login.password"]),
        ({"logins": [{"user": "me"}, {"password": SECRET}]}, ["logins.1.password"]),
        ({"by_name": {"a": SECRET, "b": SECRET}}, ["by_name.a", "by_name.b"]),
        ({"pair": [1, SECRET]}, ["pair.1"]),
        ({"either": {"password": SECRET}}, ["either.password"]),
        ({"again": {"again": {"token": SECRET}}}, ["again.again.token"]),
        ({"token": None, "marked": ""}, []),
        ({"token": [SECRET], "login": SECRET}, ["token"]),
        ([], []),
        (None, []),
    ],
)
def test_a_contract_says_where_its_secrets_are(payload: object, found: list[str]) -> None:
    """At every kind of place, by name and by alias, also in a payload that does not fit."""
    assert sorted(as_text(secret_paths(Everything, payload))) == found


def test_a_contract_without_secrets_has_none() -> None:
    """Whatever its payload looks like."""

    class Plain(BaseModel):
        secret: str = ""
        password: str = ""

    assert secret_paths(Plain, {"secret": "x", "password": "y"}) == []


class World:
    """A broker with two actors that have a contract, and one that has none."""

    def __init__(self) -> None:
        self.broker = StubBroker(middleware=[DeadLetters(MemoryDeadLetterStore()), Contracts()])

        @dramatiq.actor(broker=self.broker)
        def login(job: Login) -> None: ...

        @dramatiq.actor(broker=self.broker)
        def anything(*args: object, **kwargs: object) -> None: ...

        self.login, self.anything = login, anything

    def clean(self, message: "dramatiq.Message[Any]") -> tuple[dict[str, Any], tuple[str, ...]]:
        """The message without its secrets, and where those were."""
        redaction = Redaction(self.broker)
        return redaction.message(message.asdict()), as_text(redaction.paths)


def test_secrets_are_replaced_and_the_rest_stays() -> None:
    """The message itself is not touched."""
    world = World()
    payload = {"user": "me", "password": SECRET}
    message: dramatiq.Message[Any] = dramatiq.Message("default", "login", (payload,), {}, {"priority": 5})

    clean, paths = world.clean(message)

    assert clean["args"] == [{"user": "me", "password": PLACEHOLDER}]
    assert clean["options"] == {"priority": 5}
    assert paths == ("args.0.password",)
    assert payload["password"] == SECRET


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((), {"job": {"password": SECRET}}, "kwargs.job.password"),
        ((), {"password": SECRET}, "kwargs.password"),
        ((1, {"password": SECRET}), {}, "args.1.password"),
        (({"password": {"deep": [SECRET]}},), {}, "args.0.password"),
    ],
)
def test_a_forged_shape_hides_nothing(args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> None:
    """Every value of a message that its actor would refuse is looked at as its payload."""
    world = World()

    clean, paths = world.clean(dramatiq.Message("default", "login", args, kwargs, {}))

    assert SECRET not in json.dumps(clean, ensure_ascii=False)
    assert paths == (path,)


@pytest.mark.parametrize("place", ["pipe_target", "group_completion_callbacks", "argument"])
def test_a_message_that_another_one_carries_is_cleaned_too(place: str) -> None:
    """In a pipeline, in a group, and in what a failure callback is told."""
    world = World()
    inner = dramatiq.Message("default", "login", ({"password": SECRET},), {}, {}).asdict()
    options: dict[str, dict[str, Any]] = {
        "pipe_target": {"pipe_target": inner},
        "group_completion_callbacks": {place: [inner]},
    }
    args = (inner,) if place == "argument" else ()

    clean, (path,) = world.clean(dramatiq.Message("default", "anything", args, {}, options.get(place, {})))

    assert SECRET not in json.dumps(clean, ensure_ascii=False)
    assert path.endswith("args.0.password")


def test_an_option_with_a_telling_name_is_taken_out() -> None:
    """Options have no contract."""
    world = World()
    options = {
        "api_key": SECRET,
        "nested": {"Authorization": SECRET},
        "token": None,
        "tokens_left": "",
        "a": "b",
    }

    clean, paths = world.clean(dramatiq.Message("default", "anything", (), {}, options))

    assert clean["options"] == {**options, "api_key": PLACEHOLDER, "nested": {"Authorization": PLACEHOLDER}}
    assert paths == ("options.api_key", "options.nested.Authorization")


def test_a_secret_is_found_in_texts_however_it_is_spelled() -> None:
    """As it is, as JSON writes it, as `repr` does; short ones would be found in ordinary words."""
    world = World()
    redaction = Redaction(world.broker)
    redaction.message(dramatiq.Message("default", "login", ({"password": SECRET},), {}, {}).asdict())

    text = f"{SECRET} {json.dumps(SECRET)} {SECRET!r} {json.dumps(SECRET, ensure_ascii=False)}"
    assert redaction.text(text) == '*** "***" \'***\' "***"'
    assert redaction.texts({"a": [SECRET, 1], SECRET: None}) == {"a": ["***", 1], "***": None}

    redaction = Redaction(world.broker)
    redaction.message(dramatiq.Message("default", "login", ({"password": "a"},), {}, {}).asdict())
    assert redaction.text("a bad day") == "a bad day"


def test_a_message_says_where_its_secrets_are_for_those_who_do_not_know_its_contract() -> None:
    """Also of the messages it carries; the note itself is not kept."""
    world = World()
    inner = world.login.message(Login(user="me", password=SecretStr(SECRET)))
    message = world.anything.message_with_options(pipe_target=inner.asdict())
    mark_secrets(world.broker, inner.asdict())
    mark_secrets(world.broker, message.asdict())
    del world.broker.actors["login"]

    clean, _ = world.clean(inner.copy(args=({"user": "me", "password": SECRET},)))

    assert clean["args"] == [{"user": "me", "password": PLACEHOLDER}]
    assert clean["options"] == {}
    assert message.options["pipe_target"]["options"]["secret_paths"] == [["args", 0, "password"]]


def test_a_forged_note_takes_out_what_it_names_and_breaks_nothing() -> None:
    """It can only hide more."""
    world = World()
    notes = [["args", 0], ["args", 9, "x"], [], "args", [None], [{}], ["args", "0"], ["kwargs"]]

    clean, _ = world.clean(dramatiq.Message("default", "anything", ("x",), {"a": 1}, {"secret_paths": notes}))

    assert (clean["args"], clean["kwargs"], clean["options"]) == ([PLACEHOLDER], {"a": 1}, {})


def test_what_is_not_json_is_left_out() -> None:
    """Other encoders let it in; it would have to be filled in again."""
    world = World()

    clean, paths = world.clean(dramatiq.Message("default", "anything", (object(), {1: (2, b"x")}), {}, {}))

    assert clean["args"] == [PLACEHOLDER, {"1": [2, PLACEHOLDER]}]
    assert paths == ("args.0", "args.1.1.1")


def test_what_is_nested_too_deep_is_refused() -> None:
    """Nobody can look into it."""
    world = World()
    deep = json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)

    with pytest.raises(ValueError, match="nested deeper"):
        world.clean(dramatiq.Message("default", "anything", (deep,), {}, {}))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6))
def test_no_secret_survives(secret: str) -> None:
    """Whatever is in it."""
    world = World()
    message: dramatiq.Message[Any] = dramatiq.Message(
        "default", "login", ({"password": secret},), {}, {"note": f"({secret})"}
    )
    redaction = Redaction(world.broker)

    clean = redaction.message(message.asdict())

    assert clean["args"] == [{"password": PLACEHOLDER}]
    assert secret in PLACEHOLDER or secret not in redaction.texts(clean["options"])["note"]
