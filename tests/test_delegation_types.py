"""What guards and broker say to each other has one shape: neither can import the other, so a type checker holds both.

The assignments are for mypy, which reads this file; the tests do the same at run time.
"""

from typing import TYPE_CHECKING

import pytest

from broker import FairRedisBroker
from broker.delegation import Rule as BrokerRule
from broker.leasing.lease import AckOperation as BrokerAckOperation
from middleware.base.delegation import (
    AckOperation,
    ConcurrencyKeys,
    Gates,
    MaxActive,
    Rule,
    StartRate,
    SupportsAckOperations,
    SupportsGates,
    SupportsLimits,
    SupportsParking,
    SupportsRefund,
)

_RULES: tuple[Rule, ...] = (
    MaxActive(default=None),
    ConcurrencyKeys(),
    StartRate(actor="resize", interval_ms=0, tolerance_ms=0),
    Gates(),
)

if TYPE_CHECKING:
    _broker = FairRedisBroker()
    _limits: SupportsLimits = _broker
    _gates: SupportsGates = _broker
    _parking: SupportsParking = _broker
    _ack_operations: SupportsAckOperations = _broker
    _refund: SupportsRefund = _broker

    _broker.enforce(MaxActive(default=10))
    _broker.enforce(ConcurrencyKeys())
    _broker.enforce(StartRate(actor="resize", interval_ms=100.0, tolerance_ms=1_000.0))
    _broker.enforce(Gates())
    _rules: tuple[BrokerRule, ...] = _RULES


@pytest.mark.parametrize(
    "protocol", [SupportsLimits, SupportsGates, SupportsParking, SupportsAckOperations, SupportsRefund]
)
def test_the_broker_supports_all_that_guards_look_for(protocol: type) -> None:
    """By its methods, without a connection."""
    assert isinstance(FairRedisBroker(), protocol)


def test_a_guard_finds_its_operation_again_in_the_broker() -> None:
    """Both have the same fields in the same order."""
    given = AckOperation("k", "token", "7", ("state", "done"), 1_000)

    assert BrokerAckOperation(*given)._asdict() == given._asdict()


@pytest.mark.parametrize("rule", [rule for rule in _RULES if not isinstance(rule, StartRate)], ids=str)
def test_each_rule_of_the_guards_is_known_to_the_broker(rule: Rule) -> None:
    """A start rate is kept by the server, and so tried with one."""
    assert FairRedisBroker().enforce(rule)


def test_a_kind_of_rule_that_the_broker_does_not_know_is_left_to_the_guard() -> None:
    """A newer library may ask an older broker."""

    class Newer:
        kind = "phase_of_the_moon"

    assert not FairRedisBroker().enforce(Newer())  # type: ignore[arg-type]
