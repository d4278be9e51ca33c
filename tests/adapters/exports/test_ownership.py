"""Whose export a file is."""

import io
from typing import get_args
from uuid import UUID, uuid4

import pytest

from adapters.exports.ownership import written_by
from domain.domain_export import Format

from .samples import EXPORT_ID, header_only, row, written

FORMATS: tuple[Format, ...] = get_args(Format)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_its_own_exports(kind: Format) -> None:
    """Every format's file is recognised as the export's that wrote it, full or empty, and as nobody else's."""
    for file in (written(kind), io.BytesIO(header_only(kind))):
        assert written_by(file, kind, EXPORT_ID)
        file.seek(0)
        assert not written_by(file, kind, UUID(int=5))


@pytest.mark.parametrize("kind", FORMATS)
def test_naming_an_export_is_not_being_it(kind: Format) -> None:
    """A file that only mentions another export's id belongs to the one that wrote it."""
    other = uuid4()
    mention = f'{{"export_version": 1, "export_id": "{other}" export,1,{other}, export_id={other}'
    assert not written_by(written(kind, [row(1, mention)]), kind, other)


@pytest.mark.parametrize("kind", FORMATS)
def test_other_files_are_nobodys(kind: Format) -> None:
    """Notes, even with the id in them, are not an export."""
    assert not written_by(io.BytesIO(b""), kind, EXPORT_ID)
    assert not written_by(io.BytesIO(f"export,1,{EXPORT_ID}".encode()), kind, EXPORT_ID)
