"""What the export tests share: a server that speaks S3."""

from collections.abc import Iterator

import pytest

from app.embedded.s3 import EmbeddedS3, embedded_s3


@pytest.fixture(scope="session")
def s3() -> Iterator[EmbeddedS3]:
    """One server with one bucket; tests keep apart by keys of their own."""
    with embedded_s3() as server:
        yield server
