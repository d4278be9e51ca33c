"""The object store: a folder and a server that speaks S3, one behaviour."""

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from adapters.storage.object_store import ObjectStore, S3Options, open_store
from app.embedded.s3 import EmbeddedS3, embedded_s3
from domain.errors import AuthFailed, InvalidInput, JobError, NotFound, StorageUnavailable

SECRET = "never-to-be-seen-in-a-message"


@pytest.fixture(scope="module")
def s3() -> Iterator[EmbeddedS3]:
    """One server with one bucket."""
    with embedded_s3() as server:
        yield server


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3: EmbeddedS3) -> ObjectStore:
    """Each kind of store, empty."""
    if request.param == "file":
        return open_store((tmp_path / "a new folder").as_uri())
    return open_store(f"s3://{s3.bucket}/{tmp_path.name}", _options(s3.endpoint_url))


@pytest.mark.parametrize("size_bytes", [0, 5, 5 * 1024 * 1024, 11_000_000])
def test_an_object_comes_back_as_it_went(store: ObjectStore, size_bytes: int) -> None:
    """Objects of any size are read back whole, in pieces, and know their size."""
    content = bytes(index % 251 for index in range(min(size_bytes, 1_000))) * (size_bytes // 1_000 or 1)
    content = content[:size_bytes]
    store.put("a/όνομα b.csv", io.BytesIO(content), {"Content-Type": "text/csv"})
    assert b"".join(store.get("a/όνομα b.csv", piece_bytes=1_000_000)) == content
    assert store.size_bytes("a/όνομα b.csv") == len(content)


def test_pieces_are_small(store: ObjectStore) -> None:
    """A large object is never held whole."""
    store.put("a", io.BytesIO(b"x" * 8_000_000), {})
    assert max(len(piece) for piece in store.get("a", piece_bytes=100_000)) < 2_000_000


def test_a_missing_object_is_not_found(store: ObjectStore) -> None:
    """Reading what is not there fails at once, before the first piece; deleting it is fine."""
    with pytest.raises(NotFound):
        store.get("none")
    with pytest.raises(NotFound):
        store.size_bytes("none")
    assert store.header("none", "Content-Type") is None
    store.delete("none")


def test_a_deleted_object_is_gone(store: ObjectStore) -> None:
    """Deleting works once and does not mind the second time."""
    store.put("a/b", io.BytesIO(b"x"), {})
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(NotFound):
        store.get("a/b")


def test_an_object_is_replaced_whole(store: ObjectStore) -> None:
    """The second object under a key is the only one."""
    store.put("a", io.BytesIO(b"longer than the other"), {})
    store.put("a", io.BytesIO(b"new"), {})
    assert b"".join(store.get("a")) == b"new"


def test_an_interrupt_while_reading_the_source_passes_through(store: ObjectStore) -> None:
    """What the source raises is raised, as itself, and nothing is stored."""

    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put("a", Interrupted(b"x" * 12_000_000), {})
    with pytest.raises(NotFound):
        store.get("a")


@pytest.mark.parametrize("key", ["../a", "a/../b", "a//b", "."])
def test_odd_keys_are_invalid(store: ObjectStore, key: str) -> None:
    """A key that could name another object is refused."""
    with pytest.raises(InvalidInput):
        store.put(key, io.BytesIO(b"x"), {})


def test_a_presigned_link_serves_the_object(s3: EmbeddedS3) -> None:
    """A bucket's link works without credentials and does not carry the secret."""
    store = open_store(f"s3://{s3.bucket}/links", _options(s3.endpoint_url))
    store.put("a b.csv", io.BytesIO(b"content"), {"Content-Type": "text/csv"})
    url = store.presigned_url("a b.csv", timedelta(hours=1))
    assert url is not None
    assert "X-Amz-Expires=3600" in url
    assert SECRET not in url
    assert httpx.get(url).content == b"content"


def test_a_folder_cannot_sign(tmp_path: Path) -> None:
    """Links to a folder are the application's to make."""
    assert open_store(tmp_path.as_uri()).presigned_url("a", timedelta(hours=1)) is None


def test_a_store_that_refuses_connections_is_unavailable() -> None:
    """A server that is down is worth another attempt, and the message says what to check."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = open_store("s3://bucket", _options(f"http://127.0.0.1:{port}"))
    for error in _errors_of(store):
        assert isinstance(error, StorageUnavailable)
        assert "check that it is up" in str(error)


def test_a_store_that_says_nothing_is_given_up() -> None:
    """A server that takes the connection and never answers ends as unavailable, within the bound."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        store = open_store("s3://bucket", _options(url, stalled_after_s=0.2))
        assert all(isinstance(error, StorageUnavailable) for error in _errors_of(store))


def test_refused_credentials_are_an_auth_failure(s3: EmbeddedS3) -> None:
    """A key the store does not know is permanent; the message names the store's reason and no secret."""
    store = open_store(f"s3://{s3.bucket}", _options(s3.endpoint_url))
    with _credentials_checked(s3):
        errors = _errors_of(store)
    for error in errors:
        assert isinstance(error, AuthFailed)
        assert "403" in str(error)
    assert "InvalidAccessKeyId" in str(errors[0])


def test_no_error_reports_a_secret(s3: EmbeddedS3) -> None:
    """Neither a message nor what stands behind it repeats our secret, key id or the store's reply."""
    store = open_store(f"s3://{s3.bucket}", _options(s3.endpoint_url))
    with _credentials_checked(s3):
        errors = _errors_of(store)
    for error in errors:
        assert SECRET not in str(error)
        assert "key-id" not in str(error)
        assert "<" not in str(error)
        assert "RequestId" not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__


def test_a_missing_bucket_is_invalid_input(s3: EmbeddedS3) -> None:
    """A bucket that is not there is somebody's mistake, not the object's absence."""
    store = open_store("s3://no-such-bucket", _options(s3.endpoint_url))
    for attempt in (lambda: store.put("a", io.BytesIO(b"x"), {}), lambda: store.get("a")):
        with pytest.raises(InvalidInput, match="s3://no-such-bucket does not exist"):
            attempt()


@pytest.mark.parametrize(
    "url", ["", "objects", "/objects", "file://host/objects", "file:objects", "s3://", "ftp://a/b"]
)
def test_other_addresses_are_refused(url: str) -> None:
    """What is neither a folder nor a bucket is named as such."""
    with pytest.raises(InvalidInput, match="s3://bucket/prefix"):
        open_store(url)


def test_an_unencrypted_endpoint_must_be_allowed() -> None:
    """Keys do not go over the wire in the clear by accident."""
    with pytest.raises(InvalidInput, match="not encrypted"):
        open_store("s3://bucket", S3Options(endpoint_url="http://store.example"))


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A folder below a file is an operator's to repair."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="cannot be made"):
        open_store((tmp_path / "file" / "objects").as_uri())


def _options(endpoint_url: str, stalled_after_s: float = 30.0) -> S3Options:
    return S3Options(
        endpoint_url=endpoint_url,
        access_key_id="key-id",
        secret_access_key=SecretStr(SECRET),
        allow_http=True,
        retries=0,
        stalled_after_s=stalled_after_s,
    )


def _errors_of(store: ObjectStore) -> list[JobError]:
    """What each way to use the store raises."""
    errors = []
    for attempt in (
        lambda: store.put("a", io.BytesIO(b"x"), {}),
        lambda: store.put("a", io.BytesIO(b"x" * 6_000_000), {}),
        lambda: store.get("a"),
        lambda: store.size_bytes("a"),
        lambda: store.delete("a"),
    ):
        with pytest.raises(JobError) as caught:
            attempt()
        errors.append(caught.value)
    return errors


@contextmanager
def _credentials_checked(s3: EmbeddedS3) -> Iterator[None]:
    """Let the server check credentials, of which it knows none."""
    address, headers = f"{s3.endpoint_url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    httpx.post(address, content="0", headers=headers).raise_for_status()
    try:
        yield
    finally:
        httpx.post(address, content="inf", headers=headers).raise_for_status()
