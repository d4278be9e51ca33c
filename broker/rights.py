"""Checks what a server's user may do, before a worker finds out in the middle of its work."""

from typing import Final

import redis

from .connection import connection_errors
from .errors import UnsupportedServer

#: What the broker does with keys, each in a harmless form; the key comes after the name, and where KEY stands.
PROBES: Final = (
    *("SET 1 PX 10000", "GET", "EXISTS", "TYPE", "STRLEN", "PEXPIRE 10000", "PTTL"),
    *("INCR", "INCRBY 1", "INCRBYFLOAT 1", "RENAME KEY", "UNLINK"),
    *("HSET f 1", "HSETNX f 1", "HINCRBY f 1", "HGET f", "HMGET f", "HGETALL", "HKEYS", "HRANDFIELD"),
    *(
        "HEXISTS f",
        "HLEN",
        "HSCAN 0",
        "HDEL f",
        "SADD m",
        "SISMEMBER m",
        "SMEMBERS",
        "SRANDMEMBER",
        "SREM m",
        "SPOP",
    ),
    *("RPUSH m", "LPUSH m", "LINDEX 0", "LLEN", "LRANGE 0 0", "LPOS m", "LINSERT BEFORE m m", "LREM 1 m"),
    *("LPOP", "RPOP", "BLPOP 0.01", "DEL"),
    *(
        "ZADD 1 m",
        "ZSCORE m",
        "ZMSCORE m",
        "ZRANK m",
        "ZCARD",
        "ZCOUNT 0 0",
        "ZRANGE 0 0",
        "ZRANGEBYSCORE 0 0",
        "ZREM m",
    ),
    *("ZREMRANGEBYSCORE 0 0", "ZPOPMIN", "DEL"),
)


def check_rights(client: "redis.Redis", base: str) -> None:
    """Check that a client's user may do all that workers do, on their keys; the default user is believed to.

    Parameters:
        client: of the server.
        base: what all keys begin with.

    Raises:
        UnsupportedServer: it may not; the message names what is missing, and how to grant it.
        ConnectionClosed: the server does not answer, or is a replica.
    """
    parameters = client.connection_pool.connection_kwargs
    if not parameters.get("username") and parameters.get("credential_provider") is None:
        # A server keeps some 30 KiB for each command that was ever called, and most users are this one.
        return
    key = f"{base}:rights"
    commands: list[tuple[str, ...]] = [
        (name, key, *(key if word == "KEY" else word for word in words))
        for name, *words in (each.split() for each in PROBES)
    ]
    commands += [("TIME",), ("EVAL", "return 1", "1", key), ("EVALSHA", "0" * 40, "1", key)]
    with connection_errors(client):
        with client.pipeline(transaction=False) as together:
            for command in commands:
                together.execute_command(*command)  # type: ignore[no-untyped-call]
            answers = together.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, redis.ReadOnlyError):
                raise answer
    denied = {
        command[0]: None
        for command, answer in zip(commands, answers, strict=True)
        if isinstance(answer, redis.exceptions.NoPermissionError)
    }
    if denied:
        name = parameters.get("username") or "(of the credential provider)"
        user = name.decode(errors="replace") if isinstance(name, bytes) else name
        rules = " ".join(f"+{name.lower()}" for name in denied)
        raise UnsupportedServer(
            f"user {user} of the server may not run {', '.join(denied)} on {base}*: ACL SETUSER {user} ~{base}* {rules}"
        )  # type: ignore[no-untyped-call]
