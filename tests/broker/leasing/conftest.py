"""What tests of leases share with those of the supervisor."""

from tests.broker.supervisor.conftest import stage

__all__ = ["stage"]
