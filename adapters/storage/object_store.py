"""One folder or bucket that holds objects: where downloads live, and where exports to s3 go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store
from pydantic import SecretStr

from domain.errors import InvalidInput, NotFound, StorageUnavailable

from .object_store_errors import is_refusal, mapped_errors
from .private_folder import PrivateFolder

if TYPE_CHECKING:
    from obstore import Attributes, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Config

#: Bytes in one part of an upload, the smallest that S3 takes.
PART_BYTES = 5 * 1024 * 1024
#: Parts of one upload in flight at once; together with PART_BYTES this bounds the memory an upload costs.
PARTS_AT_ONCE = 2
#: Bytes in one piece of a download.
DEFAULT_PIECE_BYTES = 1024 * 1024
#: Seconds one request may take in all; a stalled one ends far earlier, by `stalled_after_s`.
REQUEST_TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """How to reach an S3-compatible store.

    Parameters:
        endpoint_url: where it listens. Default None: AWS.
        region: the region requests are signed for. Default us-east-1.
        access_key_id, secret_access_key: credentials. Default None: the machine's own (environment, role).
        allow_http: whether an `http://` endpoint may be used. Default False: keys and contents stay encrypted.
        path_style: `endpoint/bucket/key` instead of `bucket.endpoint/key`. Default True, which all stores take.
        retries: how often a request is repeated after a refused connection, a stall or a 5xx. Default 3.
        first_backoff_s: wait before the first repetition, doubled each time. Default 1.
        stalled_after_s: silence of the store after which a request is given up. Default 60.
    """

    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    allow_http: bool = False
    path_style: bool = True
    retries: int = 3
    first_backoff_s: float = 1.0
    stalled_after_s: float = 60.0


class ObjectStore:
    """Objects by key. Made by `open_store`.

    Every method maps what goes wrong to the domain's errors: StorageUnavailable when the store is down or
    broken (worth another attempt), AuthFailed when it refuses our credentials, InvalidInput when the bucket or
    key cannot be used.
    """

    def __init__(self, store: LocalStore | S3Store, name: str, folder: PrivateFolder | None = None) -> None:
        self._store = store
        self._name = name
        self._folder = folder
        #: Found out once: some stores let us read and write, and refuse to be asked about an object.
        self._takes_head = True

    def put(self, key: str, source: BinaryIO, headers: Mapping[str, str]) -> None:
        """Store what `source` holds from its position on. A reader sees the old object or the new one.

        Memory holds two parts of 5 MiB, whatever the size. An interrupted upload leaves nothing that could be read;
        a bucket that refuses to have it aborted keeps its parts until its own rules remove them. In a folder the file
        is readable by the worker and its group alone.

        Parameters:
            key: replaced when it exists.
            source: read by this thread, so that interrupts reach it between two parts.
            headers: `Content-Type`, `Content-Disposition` and labels of one's own, kept where the store has
                a place for them; a folder has none.
        """
        watched = _Watched(source)
        attributes = dict(headers) if isinstance(self._store, S3Store) else None
        with mapped_errors(self._name):
            if self._folder is not None:
                self._folder.prepare(key)
            try:
                obstore.put(
                    self._store,
                    key,
                    cast("BinaryIO", watched),
                    attributes=attributes,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )
            except (BaseError, OSError):
                # Whatever the store said of our giving up: what made us is what happened.
                if watched.error is not None:
                    raise watched.error from None
                raise
            if self._folder is not None:
                self._folder.finish(key)

    def get(self, key: str, *, piece_bytes: int = DEFAULT_PIECE_BYTES) -> Iterator[bytes]:
        """The object in pieces.

        Parameters:
            key: of the object.
            piece_bytes: size of a piece, the last one excepted. Default 1 MiB.

        Raises:
            NotFound: at once, before the first piece is asked for.
        """
        with mapped_errors(self._name, missing=NotFound("object", key)):
            stream = obstore.get(self._store, key).stream(min_chunk_size=piece_bytes)
        return self._pieces(stream)

    def size_bytes(self, key: str) -> int:
        """The object's size.

        Raises:
            NotFound: there is none.
        """
        with mapped_errors(self._name, missing=NotFound("object", key)):
            return self._meta(key)[0]["size"]

    def header(self, key: str, name: str) -> str | None:
        """A header the object was stored with; None when there is no such object or header."""
        try:
            with mapped_errors(self._name, missing=NotFound("object", key)):
                return self._meta(key)[1].get(name)
        except NotFound:
            return None

    def delete(self, key: str) -> None:
        """Remove the object; fine when there is none."""
        try:
            with mapped_errors(self._name, missing=NotFound("object", key)):
                if self._folder is not None:
                    self._folder.clean(key)
                obstore.delete(self._store, key)
        except NotFound:
            return

    def presigned_url(self, key: str, expires_in: timedelta) -> str | None:
        """A link to the object that works without credentials for a while; None when the store cannot sign."""
        if not isinstance(self._store, S3Store):
            return None
        with mapped_errors(self._name):
            return obstore.sign(self._store, "GET", key, expires_in)

    def _meta(self, key: str) -> "tuple[ObjectMeta, Attributes]":
        if self._takes_head:
            try:
                found = obstore.get(self._store, key, options={"head": True})
            except BaseError as error:
                if not is_refusal(error):
                    raise
            else:
                return found.meta, found.attributes
        # The reply's body is not read.
        found = obstore.get(self._store, key)
        self._takes_head = False
        return found.meta, found.attributes

    def _pieces(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        with mapped_errors(self._name):
            for piece in stream:
                yield bytes(piece)


def open_store(url: str, options: S3Options | None = None) -> ObjectStore:
    """Open the store at `url`. Nothing is sent yet; a folder is made when it is missing.

    Parameters:
        url: `file:///folder`, or `s3://bucket` with an optional `/prefix` in front of every key.
        options: how to reach S3. Default: AWS with the machine's own credentials.

    Raises:
        InvalidInput: the address or the options cannot be used.
        StorageUnavailable: the folder cannot be made.

    Example:
        >>> open_store("file:///var/lib/pressroom/objects").put("a/b.csv", file, {"Content-Type": "text/csv"})
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return _open_folder(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.hostname:
        return _open_bucket(parts.hostname, unquote(parts.path).strip("/"), options or S3Options())
    raise InvalidInput(
        f"{parts.scheme or 'an empty'} address: name the store file:///folder or s3://bucket/prefix"
    )


def _open_folder(folder: Path) -> ObjectStore:
    try:
        private = PrivateFolder(folder)
        private.make()
        return ObjectStore(LocalStore(prefix=folder, mkdir=True), f"folder {folder}", private)
    except (OSError, BaseError):
        raise StorageUnavailable(
            f"the folder {folder} cannot be made; check its path and permissions"
        ) from None


def _open_bucket(bucket: str, prefix: str, options: S3Options) -> ObjectStore:
    if (options.endpoint_url or "").startswith("http://") and not options.allow_http:
        raise InvalidInput(
            f"{options.endpoint_url} is not encrypted; use https, or allow http for this store"
        )
    config: S3Config = {
        "region": options.region,
        "virtual_hosted_style_request": not options.path_style,
        "disable_bulk_delete": True,  # not every compatible store has it, and we delete one at a time
    }
    if options.endpoint_url:
        config["endpoint"] = options.endpoint_url
    if options.access_key_id and options.secret_access_key:
        config["access_key_id"] = options.access_key_id
        config["secret_access_key"] = options.secret_access_key.get_secret_value()
    client: ClientConfig = {
        "allow_http": options.allow_http,
        "read_timeout": timedelta(seconds=options.stalled_after_s),
        "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
    }
    retry: RetryConfig = {
        "max_retries": options.retries,
        "backoff": {
            "init_backoff": timedelta(seconds=options.first_backoff_s),
            "max_backoff": timedelta(seconds=30),
            "base": 2,
        },
    }
    with mapped_errors(f"s3://{bucket}"):
        store = S3Store(
            bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry
        )
    return ObjectStore(store, f"s3://{bucket}")


class _Watched:
    """A file that remembers why reading failed: the library reports its own error instead."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._start = source.tell()
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._source.read(size)
        except BaseException as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()
