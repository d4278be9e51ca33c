"""What actors of the pages are sent when they are worked."""

from typing import Any

#: By the actor's name: the arguments of its message.
PAYLOADS: dict[str, tuple[Any, ...]] = {
    "charge": ({"org_id": "acme", "amount": 5, "idempotency_key": "order-18"},),
    "crawl": ({"org_id": "acme", "number": 1},),
    "export": ([1, 2, 3],),
    "fetch": ("data:,an%20answer",),
    "publish": ({"site": "blog", "token": "secret"},),
    "send_invoice": ({"org_id": "acme", "number": 8, "idempotency_key": "8"},),
    "write_ideas": ({"topic": "bread"},),
    "resize": ({"image_id": 7, "width": 640},),
}
