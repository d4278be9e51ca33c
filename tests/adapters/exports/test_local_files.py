"""Exports to the worker's file system: complete or not at all, and never outside the org's folder."""

import io
import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exports.local_files import LocalFiles
from domain.domain_export import Format
from domain.errors import StorageUnavailable, UnsafePath

from .samples import EXPORT_ID, header_only

ORG = UUID(int=42)
OTHER_EXPORT = UUID(int=99)

TRICKS = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "a", "link", "secret", "\x00", "~", "", "org", str(ORG)]),
    max_size=7,
).map("/".join)


class BrokenSource(io.RawIOBase):
    """A spool that gives some bytes and then fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self._given = False

    def read(self, size: int = -1, /) -> bytes:
        if self._given:
            raise self._error
        self._given = True
        return b"half"


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    """A base folder beside a file that must never change."""
    (tmp_path / "secret").write_text("outside")
    return LocalFiles(tmp_path / "base")


def test_a_file_lands_in_the_orgs_folder(files: LocalFiles) -> None:
    """Folders are made, the content is complete, and the location is relative to the base folder."""
    location = files.deliver(EXPORT_ID, ORG, "2026/παν/site.csv", io.BytesIO(b"content"))
    assert location == f"{ORG}/2026/παν/site.csv"
    assert (files.base_dir / location).read_bytes() == b"content"
    assert _everything(files) == [location]


def test_files_are_not_for_everybody(files: LocalFiles) -> None:
    """Neither a folder nor a file can be opened by other users."""
    location = files.deliver(EXPORT_ID, ORG, "2026/site.csv", io.BytesIO(b"content"))
    for path in (files.base_dir / location, *(files.base_dir / location).parents[:2]):
        assert path.stat().st_mode & 0o007 == 0


def test_two_orgs_may_choose_one_name(files: LocalFiles) -> None:
    """The same path of two orgs is two files."""
    files.deliver(EXPORT_ID, ORG, "site.csv", io.BytesIO(b"mine"))
    files.deliver(OTHER_EXPORT, UUID(int=43), "site.csv", io.BytesIO(b"theirs"))
    assert (files.base_dir / str(ORG) / "site.csv").read_bytes() == b"mine"


def test_a_file_of_the_same_name_is_replaced(files: LocalFiles) -> None:
    """The newer export wins, in one step."""
    for content in (b"old and longer", b"new"):
        files.deliver(EXPORT_ID, ORG, "site.csv", io.BytesIO(content))
    assert (files.base_dir / str(ORG) / "site.csv").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_changes_nothing(files: LocalFiles, error: BaseException) -> None:
    """After a full disk or an interrupt the old file is whole and no other is there."""
    files.deliver(OTHER_EXPORT, ORG, "site.csv", io.BytesIO(b"old"))
    expected = StorageUnavailable if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        files.deliver(EXPORT_ID, ORG, "site.csv", BrokenSource(error))  # type: ignore[arg-type]
    assert (files.base_dir / str(ORG) / "site.csv").read_bytes() == b"old"
    assert _everything(files) == [f"{ORG}/site.csv"]


def test_a_file_where_a_folder_should_be_made_is_an_operators_to_repair(tmp_path: Path) -> None:
    """A base folder that cannot be made says which setting to look at."""
    (tmp_path / "base").write_text("a file")
    with pytest.raises(StorageUnavailable, match="PRESSROOM_EXPORT_BASE_DIR"):
        LocalFiles(tmp_path / "base").deliver(EXPORT_ID, ORG, "site.csv", io.BytesIO())


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "a//b",
        "a\\..\\b",
        "a\x00",
        ".",
        "a/",
        ".hidden",
        f"../{ORG}2/x",
    ],
)
def test_tricks_are_refused_by_their_words(files: LocalFiles, path: str) -> None:
    """No trick passes the check or the delivery, and nothing is made on the way."""
    with pytest.raises(UnsafePath):
        files.check(ORG, path)
    with pytest.raises(UnsafePath):
        files.deliver(EXPORT_ID, ORG, path, io.BytesIO(b"x"))
    assert not files.base_dir.exists()


@pytest.mark.parametrize("place", ["org", "folder", "file", "dangling"])
def test_links_are_refused_wherever_they_stand(files: LocalFiles, tmp_path: Path, place: str) -> None:
    """A link as the org's folder, as a folder, as the file, or to nothing leads nobody outside."""
    org = files.base_dir / str(ORG)
    outside = tmp_path / "outside"
    outside.mkdir()
    if place == "org":
        files.base_dir.mkdir()
        org.symlink_to(outside)
    else:
        org.mkdir(parents=True)
        name, target = {
            "folder": ("a", outside),
            "file": ("a", tmp_path / "secret"),
            "dangling": ("a", tmp_path / "not there"),
        }[place]
        (org / name).symlink_to(target)
    path = "a/site.csv" if place == "folder" else "a"
    with pytest.raises(UnsafePath):
        files.check(ORG, path)
    with pytest.raises(UnsafePath):
        files.deliver(EXPORT_ID, ORG, path, io.BytesIO(b"x"))
    _discard_is_harmless(files, path)
    assert list(outside.iterdir()) == []
    assert (tmp_path / "secret").read_text() == "outside"
    assert not (tmp_path / "not there").exists()


def test_a_link_swapped_in_during_the_write_changes_nothing(files: LocalFiles, tmp_path: Path) -> None:
    """When the folder becomes a link outside while the file is written, the file stays where it was checked."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = files.base_dir / str(ORG) / "a"

    class Swapping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not folder.is_symlink():
                folder.rename(folder.with_name("moved"))
                folder.symlink_to(outside)
            return super().read(size)

    files.deliver(EXPORT_ID, ORG, "a/site.csv", Swapping(b"content"))
    assert list(outside.iterdir()) == []
    assert (folder.with_name("moved") / "site.csv").read_bytes() == b"content"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_not_replaced(files: LocalFiles, make: object) -> None:
    """A folder or a pipe under the name is refused, and discarding leaves it."""
    (files.base_dir / str(ORG)).mkdir(parents=True)
    odd = files.base_dir / str(ORG) / "site.csv"
    assert callable(make)
    make(odd)
    with pytest.raises(UnsafePath):
        files.check(ORG, "site.csv")
    with pytest.raises(UnsafePath):
        files.deliver(EXPORT_ID, ORG, "site.csv", io.BytesIO(b"x"))
    files.discard(EXPORT_ID, ORG, "site.csv", "csv")
    assert odd.exists()


@given(TRICKS)
def test_no_path_leaves_the_orgs_folder(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    """Whatever is asked for, only files in the org's own folder come to be."""
    root = tmp_path_factory.mktemp("fresh")
    (root / "secret").write_text("outside")
    org = root / "base" / str(ORG)
    org.mkdir(parents=True)
    (org / "link").symlink_to(root)
    files = LocalFiles(root / "base")
    try:
        location = files.deliver(EXPORT_ID, ORG, path, io.BytesIO(b"x"))
    except UnsafePath:
        location = None
    inside = {str((org / each).resolve().relative_to(org.resolve())) for each in _files_below(org)}
    assert inside == ({path} if location else set())
    assert {each.name for each in root.iterdir()} == {"secret", "base"}
    assert (root / "secret").read_text() == "outside"
    assert [each.name for each in (root / "base").iterdir()] == [str(ORG)]


@pytest.mark.parametrize("kind", ["json", "csv", "markdown", "pdf"])
def test_discarding_removes_what_the_export_wrote(files: LocalFiles, kind: Format) -> None:
    """A delivered file of a job that failed afterwards goes away, whichever process delivered it."""
    files.deliver(EXPORT_ID, ORG, "a/site", io.BytesIO(header_only(kind)))
    LocalFiles(files.base_dir).discard(EXPORT_ID, ORG, "a/site", kind)
    assert _everything(files) == []


@pytest.mark.parametrize("content", [b"", b"somebody's notes", header_only("csv")])
def test_discarding_spares_what_was_there_before(files: LocalFiles, content: bytes) -> None:
    """An earlier export's file, or anybody's, survives another export that fails."""
    path = files.base_dir / str(ORG) / "site.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    files.discard(OTHER_EXPORT, ORG, "site.csv", "csv")
    assert path.read_bytes() == content


def test_discarding_nothing_is_fine(files: LocalFiles) -> None:
    """Neither a missing file nor a missing folder is an error, and none is made."""
    files.discard(EXPORT_ID, ORG, "a/site.csv", "csv")
    assert not files.base_dir.exists()


def test_what_a_killed_attempt_left_is_cleared(files: LocalFiles) -> None:
    """A hidden half of a file is removed by the next attempt or the clean-up; another export's is left."""
    folder = files.base_dir / str(ORG)
    folder.mkdir(parents=True)
    own, other = folder / f".{EXPORT_ID}.0123", folder / f".{OTHER_EXPORT}.0123"
    for clear in (
        lambda: files.deliver(EXPORT_ID, ORG, "site.csv", io.BytesIO()),
        lambda: files.discard(EXPORT_ID, ORG, "site.csv", "csv"),
    ):
        own.write_bytes(b"half")
        other.write_bytes(b"half")
        clear()
        assert not own.exists()
        assert other.exists()


def test_the_base_folder_may_be_a_link(files: LocalFiles, tmp_path: Path) -> None:
    """Where the base folder lies is the operator's choice."""
    (tmp_path / "disk").mkdir()
    files.base_dir.symlink_to(tmp_path / "disk")
    assert (tmp_path / "disk" / files.deliver(uuid4(), ORG, "a", io.BytesIO(b"x"))).read_bytes() == b"x"


def _discard_is_harmless(files: LocalFiles, path: str) -> None:
    try:
        files.discard(EXPORT_ID, ORG, path, "csv")
    except UnsafePath:
        return


def _everything(files: LocalFiles) -> list[str]:
    return sorted(_files_below(files.base_dir))


def _files_below(folder: Path) -> list[str]:
    return [
        str(Path(place, name).relative_to(folder)) for place, _, names in os.walk(folder) for name in names
    ]
