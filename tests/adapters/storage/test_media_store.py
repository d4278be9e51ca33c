"""Media between a hot and a cold store: a folder and a server that speaks S3, whichever is which."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.storage.media_store import ObjectMediaStore
from adapters.storage.object_store import ObjectStore, S3Options, open_store
from app.embedded.s3 import EmbeddedS3, embedded_s3
from domain.errors import InvalidInput, NotFound, StorageUnavailable

KEY = "an-org/a picture.png"


@dataclass(frozen=True)
class Stores:
    """Both, and the media store over them."""

    hot: ObjectStore
    cold: ObjectStore
    media: ObjectMediaStore

    def contents(self) -> tuple[bytes | None, bytes | None]:
        """What is under the key in each."""
        return _content(self.hot), _content(self.cold)


@pytest.fixture(scope="module")
def s3() -> Iterator[EmbeddedS3]:
    """One server with one bucket."""
    with embedded_s3() as server:
        yield server


@pytest.fixture(params=["folder to bucket", "bucket to folder"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, s3: EmbeddedS3) -> Stores:
    """Empty ones."""
    options = S3Options(
        endpoint_url=s3.endpoint_url,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
        allow_http=True,
    )
    folder = open_store((tmp_path / "a folder").as_uri())
    bucket = open_store(f"s3://{s3.bucket}/{tmp_path.name}", options)
    hot, cold = (folder, bucket) if request.param == "folder to bucket" else (bucket, folder)
    return Stores(hot, cold, ObjectMediaStore(hot, cold))


def test_an_object_moves_whole(stores: Stores) -> None:
    """Also one of many parts; each step may be repeated."""
    content = bytes(range(256)) * 48_000
    stores.hot.put(KEY, io.BytesIO(content), {})
    for _ in range(2):
        stores.media.copy_to_cold(KEY, "image/png")
    assert stores.contents() == (content, content)
    for _ in range(2):
        stores.media.remove_hot(KEY)
    assert stores.contents() == (None, content)
    stores.media.copy_to_cold(KEY, "image/png")
    assert stores.contents() == (None, content)


def test_the_cold_copy_says_what_it_is(tmp_path: Path, s3: EmbeddedS3, stores: Stores) -> None:
    """Where the store has a place for it."""
    stores.hot.put(KEY, io.BytesIO(b"x"), {})
    stores.media.copy_to_cold(KEY, "image/png")
    assert stores.cold.header(KEY, "Content-Type") in ("image/png", None)


def test_the_hot_copy_stays_without_its_like_in_cold_storage(stores: Stores) -> None:
    """Whether there is none or another one; the error says what to look at."""
    stores.hot.put(KEY, io.BytesIO(b"all of it"), {})
    with pytest.raises(
        StorageUnavailable, match="cold copy has 0 bytes, the hot one 9; the hot one was kept"
    ):
        stores.media.remove_hot(KEY)
    stores.cold.put(KEY, io.BytesIO(b"some"), {})
    with pytest.raises(StorageUnavailable, match="cold copy has 4 bytes"):
        stores.media.remove_hot(KEY)
    assert stores.contents() == (b"all of it", b"some")


def test_what_is_nowhere_is_not_found(stores: Stores) -> None:
    """It cannot be copied; removing it is fine."""
    with pytest.raises(NotFound):
        stores.media.copy_to_cold(KEY, "image/png")
    stores.media.remove_hot(KEY)
    stores.media.remove_cold(KEY)
    stores.media.remove(KEY)


def test_every_copy_is_removed(stores: Stores) -> None:
    """From both, or the cold one alone."""
    stores.hot.put(KEY, io.BytesIO(b"x"), {})
    stores.media.copy_to_cold(KEY, "image/png")
    stores.media.remove_cold(KEY)
    assert stores.contents() == (b"x", None)
    stores.media.copy_to_cold(KEY, "image/png")
    stores.media.remove(KEY)
    assert stores.contents() == (None, None)


def _content(store: ObjectStore) -> bytes | None:
    try:
        return b"".join(store.get(KEY))
    except NotFound:
        return None


def test_a_file_is_read_from_wherever_it_is(stores: Stores) -> None:
    """Hot, cold or both, whole and within a bound; where it is nowhere, that is said."""
    with pytest.raises(NotFound):
        stores.media.read(KEY, most_bytes=7)
    for store in (stores.cold, stores.hot):
        store.put(KEY, io.BytesIO(b"picture"), {})
        assert stores.media.read(KEY, most_bytes=7) == b"picture"
        with pytest.raises(InvalidInput, match="smaller"):
            stores.media.read(KEY, most_bytes=6)
