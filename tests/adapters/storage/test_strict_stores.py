"""Stores that let us read and write and refuse the rest, and folders that are nobody else's business."""

import io
import os
import stat
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.storage.object_store import ObjectStore, S3Options, open_store
from adapters.storage.private_folder import UNFINISHED_FOR_S
from domain.errors import AuthFailed, NotFound, StorageUnavailable

from .strict_s3 import StrictS3, strict_s3


class Interrupted(io.BytesIO):
    """A file of which some is read, and then the job is stopped."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > 2:
            raise KeyboardInterrupt
        return super().read(size)


def bucket(server: StrictS3) -> ObjectStore:
    options = S3Options(
        endpoint_url=server.url,
        access_key_id="key-id",
        secret_access_key=SecretStr("s"),
        allow_http=True,
        retries=0,
        stalled_after_s=10,
    )
    return open_store("s3://bucket", options)


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_store_that_refuses_to_be_asked_about_objects_is_read_instead(status: int) -> None:
    """Sizes, labels and what is missing are known all the same; it is not asked in vain again."""
    with strict_s3(lambda method, query: status if method == "HEAD" else None) as server:
        store = bucket(server)
        store.put("a/b", io.BytesIO(b"x" * 700_000), {"export-id": "7"})

        assert store.size_bytes("a/b") == 700_000
        assert store.header("a/b", "export-id") == "7"
        assert store.header("none", "export-id") is None
        with pytest.raises(NotFound):
            store.size_bytes("none")
        assert [method for method, _ in server.asked].count("HEAD") == 1


def test_credentials_that_may_do_nothing_are_still_refused() -> None:
    """Reading instead is refused, too, and that is what is said."""
    with strict_s3(lambda method, query: 403) as server, pytest.raises(AuthFailed, match="AccessDenied"):
        bucket(server).size_bytes("a")


def test_an_outage_is_not_asked_twice() -> None:
    """Only a refusal is a reason to ask otherwise."""
    with strict_s3(lambda method, query: 503) as server, pytest.raises(StorageUnavailable):
        bucket(server).size_bytes("a")
    assert [method for method, _ in server.asked] == ["HEAD"]


@pytest.mark.parametrize("status", [None, 403, 405, 500])
def test_an_interrupted_upload_ends_as_what_interrupted_it(status: int | None) -> None:
    """Also where the store refuses to have it aborted; nothing can be read, and the next attempt is whole."""

    def refuse(method: str, query: frozenset[str]) -> int | None:
        return status if method == "DELETE" and "uploadId" in query else None

    with strict_s3(refuse) as server:
        store = bucket(server)
        with pytest.raises(KeyboardInterrupt):
            store.put("a", Interrupted(b"x" * 30_000_000), {})
        assert server.objects == {}
        if status is None:
            assert server.parts == {}

        store.put("a", io.BytesIO(b"y" * 12_000_000), {})
        assert store.size_bytes("a") == 12_000_000


def test_a_store_that_lists_nothing_is_enough() -> None:
    """No call of ours lists a bucket."""

    def refuse(method: str, query: frozenset[str]) -> int | None:
        return 403 if {"list-type", "prefix"} & query or (query == {"uploads"} and method == "GET") else None

    with strict_s3(refuse) as server:
        store = bucket(server)
        store.put("a", io.BytesIO(b"x"), {})
        assert b"".join(store.get("a")) == b"x"
        store.delete("a")
        store.delete("a")
        assert not [query for _, query in server.asked if {"list-type", "prefix"} & query]


def test_what_is_in_a_folder_is_for_the_worker_and_its_group(tmp_path: Path) -> None:
    """Files 0640, folders 0750, also those that an earlier release made for everybody."""
    (tmp_path / "objects" / "exports").mkdir(parents=True)
    (tmp_path / "objects" / "exports").chmod(0o755)
    before = os.umask(0o022)
    try:
        open_store((tmp_path / "new").as_uri()).put("a", io.BytesIO(b"x"), {})
        open_store((tmp_path / "objects").as_uri()).put("exports/org/a b.csv", io.BytesIO(b"x"), {})
    finally:
        os.umask(before)

    assert mode(tmp_path / "new") == 0o750
    assert mode(tmp_path / "new" / "a") == 0o640
    assert mode(tmp_path / "objects" / "exports") == 0o750
    assert mode(tmp_path / "objects" / "exports" / "org") == 0o750
    assert mode(tmp_path / "objects" / "exports" / "org" / "a b.csv") == 0o640


@pytest.mark.parametrize("act", ["put", "delete"])
def test_what_a_killed_upload_left_in_a_folder_is_removed(tmp_path: Path, act: str) -> None:
    """Once nobody writes to it any more; what a living one writes stays."""
    store = open_store(tmp_path.as_uri())
    store.put("o/a", io.BytesIO(b"x"), {})
    old, young = tmp_path / "o" / "a#1", tmp_path / "o" / "a#2"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - UNFINISHED_FOR_S - 60
    os.utime(old, (long_ago, long_ago))
    if act == "put":
        store.put("o/a", io.BytesIO(b"y"), {})
    else:
        store.delete("o/a")

    assert (old.exists(), young.exists()) == (False, True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
