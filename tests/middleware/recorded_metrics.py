"""A metric handler for tests, and a place to hang it up."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from middleware import add_metric_handler, remove_metric_handler
from middleware.base.emit import Kind, MetricHandler


@dataclass(eq=False)
class Emitted:
    """Remembers what was emitted."""

    values: list[tuple[Kind, str, float, dict[str, str]]] = field(default_factory=list)

    def __call__(self, kind: Kind, name: str, value: float, labels: Mapping[str, str]) -> None:
        self.values.append((kind, name, value, dict(labels)))

    def of(self, name: str, **labels: str) -> list[float]:
        """The values of a metric, in order, where the labels are these."""
        return [
            value for _, each, value, given in self.values if each == name and labels.items() <= given.items()
        ]

    def labels_of(self, name: str) -> list[dict[str, str]]:
        """The labels of a metric, in order."""
        return [given for _, each, _, given in self.values if each == name]


@contextmanager
def handling(handler: MetricHandler) -> Iterator[None]:
    """Hand everything emitted to the handler for as long as the context is."""
    add_metric_handler(handler)
    try:
        yield
    finally:
        remove_metric_handler(handler)
