"""Which cases hold today, and why the others do not: the one list that `make test` and `make cases` go by."""

#: They hold, in seconds: `make test` runs each.
HOLDING: tuple[str, ...] = ()

#: They hold, but `make test` leaves them to `make cases`: by name, why.
ONLY_BY_HAND: dict[str, str] = {}

#: They do not hold yet: by name, what happens instead.
NOT_YET: dict[str, str] = {}


def held() -> set[str]:
    """Cases that may not fail any more."""
    return {*HOLDING, *ONLY_BY_HAND}
