"""The one way to act: sections, and what marks their calls."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from app.control.audit import Call, Section, call_of, changes, reads
from app.control.caller import Caller, Operator, OperatorsOnly, OrgCaller
from domain.errors import DatabaseUnavailable, NotFound

ORG = uuid4()
ANN = OrgCaller(org_id=ORG, who="ann", reason="ticket 4711")
OLGA = Operator(who="olga", reason="incident 12")


@dataclass
class Log:
    """Keeps rows in a list, while it is there."""

    rows: list[tuple[str, str, str, str | None, UUID | None]] = field(default_factory=list)
    away: bool = False

    def record(
        self, actor: str, action: str, target: str, *, reason: str | None = None, org_id: UUID | None = None
    ) -> None:
        """See `AuditLog`."""
        if self.away:
            raise DatabaseUnavailable("the log is away")
        self.rows.append((actor, action, target, reason, org_id))


class Doors(Section):
    """Doors that are opened and looked at."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.log = log
        self.opened: list[str] = []

    @changes("doors.open", "door")
    def open(self, caller: Caller, door: str, *, org_id: UUID | None = None, code: str = "") -> str:
        """Opens one; the code is secret."""
        assert self.log.rows, "written down first"
        self.opened.append(door)
        return f"{door} {code}".strip()

    @reads("doors.look", "floor", "wing")
    def look(self, caller: Caller, *, floor: int = 0, wing: str | None = None) -> int:
        """Counts those open."""
        return len(self.opened)

    @changes("doors.lock_all", operators_only=True)
    def lock_all(self, caller: Caller) -> None:
        """Closes them."""
        self.opened.clear()


@pytest.fixture
def doors() -> Doors:
    """All closed."""
    return Doors(Log())


def test_a_change_is_written_down_before_it_is_made(doors: Doors) -> None:
    """Who, what, to what, why and whose; of the arguments only those that were named for it."""
    assert doors.open(ANN, "front", code="1234") == "front 1234"
    assert doors.open(OLGA, door="back", org_id=ORG) == "back"

    assert doors.log.rows == [
        ("ann", "doors.open", "front", "ticket 4711", ORG),
        ("olga", "doors.open", "back", "incident 12", ORG),
    ]


def test_looking_is_written_down_for_operators_only(doors: Doors) -> None:
    """With what they looked at."""
    assert (doors.look(ANN), doors.look(OLGA), doors.look(OLGA, floor=2, wing="east")) == (0, 0, 0)

    assert [(row[1], row[2]) for row in doors.log.rows] == [
        ("doors.look", "*"),
        ("doors.look", "floor=2 wing=east"),
    ]


def test_what_cannot_be_written_down_is_not_done(doors: Doors) -> None:
    """The error passes."""
    doors.log.away = True

    for caller in (ANN, OLGA):
        with pytest.raises(DatabaseUnavailable, match="the log is away"):
            doors.open(caller, "front")
    with pytest.raises(DatabaseUnavailable, match="the log is away"):
        doors.look(OLGA)

    assert doors.opened == []


def test_an_org_names_itself_and_no_other(doors: Doors) -> None:
    """Another org is not found, and nothing is written into its log."""
    other = uuid4()

    assert doors.open(ANN, "front", org_id=ORG) == "front"
    with pytest.raises(NotFound, match=f"org {other} not found"):
        doors.open(ANN, "front", org_id=other)

    assert [row[4] for row in doors.log.rows] == [ORG]


def test_what_is_for_operators_is_refused_to_orgs(doors: Doors) -> None:
    """It says so, since there is nothing to hide."""
    with pytest.raises(OperatorsOnly, match=r"doors\.lock_all concerns every org and is for operators only"):
        doors.lock_all(ANN)

    doors.lock_all(OLGA)
    assert [row[0] for row in doors.log.rows] == ["olga"]


def test_a_caller_is_never_left_out(doors: Doors) -> None:
    """Nor anything else put in its place."""
    with pytest.raises(TypeError, match="an OrgCaller or an Operator, not str"):
        doors.open("ann", "front")  # type: ignore[arg-type]  # what a careless caller does


def test_a_method_that_nobody_marked_is_refused_where_it_is_written() -> None:
    """So none goes unaudited for having been forgotten."""
    with pytest.raises(TypeError, match="mark slam of Careless with @changes or @reads"):

        class Careless(Section):
            def slam(self, caller: Caller) -> None:
                """Unmarked."""


def test_a_target_has_to_be_an_argument() -> None:
    """A misspelled one would leave the audit row empty."""
    with pytest.raises(TypeError, match=r"doors\.open has no argument dor"):

        class Misspelled(Section):
            @changes("doors.open", "dor")
            def open(self, caller: Caller, door: str) -> None:
                """Misspelled."""


def test_what_a_call_is_can_be_asked() -> None:
    """Tests are made from it."""
    assert Doors.calls.keys() == {"open", "look", "lock_all"}
    assert call_of(Doors.open) == Call(
        action="doors.open", changes=True, target=("door",), operators_only=False
    )
    assert call_of(len) is None


@dataclass(frozen=True)
class Which:
    """Which shelves are meant."""

    floor: int | None = None
    wing: str | None = None


class Shelves(Section):
    """Shelves that are cleared."""

    @changes("shelves.clear", "which", "names")
    def clear(self, caller: Caller, which: Which, *, names: tuple[str, ...] = ()) -> None:
        """Clears some."""


@pytest.mark.parametrize(
    ("which", "names", "target"),
    [(Which(), (), "*"), (Which(wing="b"), (), "wing=b"), (Which(floor=0), ("x", "y"), "floor=0 names=x y")],
)
def test_what_narrows_a_call_is_its_target(which: Which, names: tuple[str, ...], target: str) -> None:
    """Field by field, those that are given."""
    log = Log()

    Shelves(log).clear(OLGA, which, names=names)

    assert log.rows == [("olga", "shelves.clear", target, OLGA.reason, None)]
