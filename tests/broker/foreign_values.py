"""What no encoder of the broker's writes: bytes, numbers, shapes and types, for whoever looks whether they do harm."""

from typing import Any, Final

import redis
from hypothesis import strategies as st

#: Bytes in the place of anything.
BYTES: Final = (
    b"",
    b"garbage",
    b"\xff\xfe\x00",
    b"\xed\xa0\x80",
    b"1e400",
    b"nan",
    b"inf",
    b"-inf",
    b"-1",
    b"-5|m1",
    b"|",
    b"1|",
    b"99999999999999999999999|x",
    str(2**53 + 1).encode(),
    str(2**70).encode(),
    b"a\nb",
    b"a\nb\nc\nd",
    b"\n\n\n\n",
    b"[]",
    b"null",
    b'{"a": 1}',
    b"[" * 5_000,
    b"0|0|",
    b"x|y|z",
)
foreign_bytes = st.one_of(st.sampled_from(BYTES), st.binary(max_size=40))

#: In the place of a field of a message, or of an option.
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    10**30,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\ud800",
    "a\nb",
    [],
    [[]],
    {},
    {"a": 1},
)
foreign_values = st.sampled_from(VALUES)

#: Fields of a message.
FIELDS: Final = (
    "queue_name",
    "actor_name",
    "args",
    "kwargs",
    "options",
    "message_id",
    "message_timestamp",
)
#: Options that the broker, or Dramatiq, reads.
OPTIONS: Final = (
    "org",
    "priority",
    "concurrency",
    "held_until",
    "retries",
    "max_retries",
    "min_backoff",
    "max_backoff",
    "time_limit",
    "max_age",
    "pipe_target",
    "on_success",
    "on_failure",
    "throws",
    "parked",
    "delay",
)

#: Where a value stands.
STANDS: Final = (
    "lane entry",
    "delayed",
    "lane",
    "org",
    "aside",
    "token",
    "parked",
    "crashes",
    "gate",
    "share",
    "rate",
    "mean",
    "queue size",
    "org size",
    "leased",
    "leased by key",
    "heard",
    "time",
    "cost",
    "numbers",
    "worker",
    "parked count",
    "waiters",
)
#: Keys of a shard with a queue `default`, behind its base.
KEYS: Final = (
    "n",
    "no",
    "a",
    "ak",
    "avg",
    "p",
    "pn",
    "d",
    "o",
    "r",
    "g",
    "wi",
    "seq",
    "heard",
    "up",
    "workers",
    "quiet",
    "m",
    "l:default:a:neighbour:0",
    "ql:default:a",
    "qr:default",
    "qv:default",
    "qt:default",
    "qc:default",
    "qd:default",
    "qs:default",
    "qx:default",
    "b:a",
    "bk:a:k",
    "pk:door",
    "wake:default",
    "probe:default",
    "xq:default",
    "xm:default",
)
TYPES: Final = ("string", "list", "hash", "set", "zset", "stream")


def write_as(client: "redis.Redis", key: str, kind: str) -> None:
    """Put something of a type in the place of whatever is there."""
    client.delete(key)
    match kind:
        case "string":
            client.set(key, b"\xffforeign")
        case "list":
            client.rpush(key, "foreign")
        case "hash":
            client.hset(key, "foreign", "1")
        case "set":
            client.sadd(key, "foreign")
        case "zset":
            client.zadd(key, {"foreign": 1})
        case _:
            client.xadd(key, {"foreign": "1"})
