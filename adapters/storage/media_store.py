"""Media files in two object stores: a hot one that is read all day, and a cold one that keeps what hardly is."""

from tempfile import TemporaryFile
from typing import BinaryIO, cast

from domain.errors import InvalidInput, NotFound, StorageUnavailable

from .object_store import ObjectStore


class ObjectMediaStore:
    """`domain.media_cleanup.MediaStore` on a hot and a cold object store, which may be of different kinds.

    An object has the same key in both.

    Parameters:
        hot: where media is kept at first.
        cold: where it goes; no part of the hot one, nor the other way round.

    Example:
        >>> ObjectMediaStore(open_store("s3://media"), open_store("s3://archive")).copy_to_cold("a/b", "image/png")
    """

    def __init__(self, hot: ObjectStore, cold: ObjectStore) -> None:
        self._hot = hot
        self._cold = cold

    def read(self, object_key: str, *, most_bytes: int) -> bytes:
        """The file, whole, from wherever a copy of it is.

        Raises:
            NotFound: there is no copy anywhere.
            InvalidInput: it is larger than that.
            StorageUnavailable, AuthFailed: a store did not do its part.
        """
        try:
            return _whole(self._hot, object_key, most_bytes)
        except NotFound:
            return _whole(self._cold, object_key, most_bytes)

    def copy_to_cold(self, object_key: str, media_type: str) -> None:
        """Have a verified cold copy, whether or not there was one.

        The bytes go through a temporary file, so that memory stays flat and the stores may be anybody's.

        Raises:
            NotFound: there is no copy anywhere.
            StorageUnavailable, AuthFailed, InvalidInput: a store did not do its part.
        """
        size_bytes = _size_bytes(self._hot, object_key)
        if size_bytes is None:
            if _size_bytes(self._cold, object_key) is None:
                raise NotFound("object", object_key)
            return  # an earlier run has come further than its row tells
        try:
            with TemporaryFile() as spool:
                for piece in self._hot.get(object_key):
                    spool.write(piece)
                spool.seek(0)
                self._cold.put(object_key, cast("BinaryIO", spool), {"Content-Type": media_type})
        except OSError as error:  # the stores map their own
            raise StorageUnavailable(
                f"the temporary folder did not take a media file ({error.strerror}); make room there"
            ) from error
        self._verify(object_key, size_bytes)

    def remove_cold(self, object_key: str) -> None:
        """Remove the cold copy; fine when there is none."""
        self._cold.delete(object_key)

    def remove_hot(self, object_key: str) -> None:
        """Remove the hot copy, provided there is a cold one of the same size; fine when there is no hot one.

        Looked up once more because days may lie between, in which somebody names another cold store.
        """
        size_bytes = _size_bytes(self._hot, object_key)
        if size_bytes is not None:
            self._verify(object_key, size_bytes)
            self._hot.delete(object_key)

    def remove(self, object_key: str) -> None:
        """Remove every copy; fine when there is none."""
        self._hot.delete(object_key)
        self._cold.delete(object_key)

    def _verify(self, object_key: str, size_bytes: int) -> None:
        cold_bytes = _size_bytes(self._cold, object_key)
        if cold_bytes != size_bytes:
            raise StorageUnavailable(
                f"the cold copy has {cold_bytes or 0} bytes, the hot one {size_bytes}; the hot one was kept. Check "
                "that cold storage is the one it was, and has room"
            )


def _size_bytes(store: ObjectStore, object_key: str) -> int | None:
    try:
        return store.size_bytes(object_key)
    except NotFound:
        return None


def _whole(store: ObjectStore, object_key: str, most_bytes: int) -> bytes:
    there = bytearray()
    for piece in store.get(object_key):
        there += piece
        if len(there) > most_bytes:
            raise InvalidInput(f"the media file has more than {most_bytes} bytes; use a smaller one")
    return bytes(there)
