"""The partial file of a download, beside its target. Everything here blocks and may raise `OSError`."""

import errno
import json
import os
import secrets
import stat
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path

from attrs import asdict, define, frozen

from ..errors import DownloadError
from .resume import Identity, is_validator

if sys.platform != "win32":
    import fcntl

# Rules for the life of a part
#
# open     Claims `<target>.part` with an exclusive lock. If another download holds the lock, or there are no
#          locks, the part gets a random name. No two downloads ever write to the same part.
# resume   Continues what an earlier download left, if the part has the fixed name and is not empty, a valid
#          note about the same export lies beside it, the system was not restarted since, and the part is not
#          longer than the file.
# restart  Empties the part and then replaces the note: a note never lies beside bytes of another file. There
#          is a note only if the part has the fixed name and the server sent a validator.
# finish   Flushes the part to disk, renames it to the target while it is still locked, and removes the note.
#          Nothing else changes the target: it is always the whole old file or the whole new one.
# close    Without `finish`, keeps the part only if that is requested, it has a note, and it is not empty.
#          Otherwise it removes the part and the note, unless another file has taken the part's place.

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@frozen
class _Note:
    """What lies beside a part as JSON, so that a later download knows whether it can resume."""

    export_id: str
    validator: str
    size: int | None
    boot: str


@define
class Part:
    """`<target>.part`, or a file with a random name while another download has claimed that one."""

    target: Path
    path: Path
    has_fixed_name: bool
    _file: FileIO
    _note: _Note | None = None

    @classmethod
    def open(cls, target: Path) -> "Part":
        """Open or create the part, without changing its content."""
        path = target.with_name(f"{target.name}.part")
        file = _claim(path)
        if file is not None:
            return cls(target, path, True, file)
        path = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        return cls(target, path, False, _open(path, os.O_EXCL))

    @property
    def _note_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def resume(self, export_id: str) -> tuple[int, Identity]:
        """Find the resume point: the offset of the next byte, and the file that the bytes before it are of.

        It is `(0, Identity())` if nothing can be resumed.
        """
        size = os.fstat(self._file.fileno()).st_size
        note = self._read_note() if size and self.has_fixed_name else None
        if note is None or (note.export_id, note.boot) != (export_id, _boot_id()):
            return 0, Identity()
        if note.size is not None and size > note.size:
            return 0, Identity()
        self._note = note
        # The last byte of a whole file is requested again: the response proves that the file is the same.
        offset = size if note.size is None else min(size, max(note.size - 1, 0))
        self._file.truncate(offset)
        self._file.seek(offset)
        return offset, Identity(note.validator, note.size)

    def restart(self, export_id: str, identity: Identity) -> None:
        """Empty the part, for the first byte of a file."""
        self._file.truncate(0)
        self._file.seek(0)
        self._note_path.unlink(missing_ok=True)
        self._note = None
        if identity.validator is not None and self.has_fixed_name:
            self._note = _Note(export_id, identity.validator, identity.size, _boot_id())
            self._note_path.write_text(json.dumps(asdict(self._note)), encoding="utf-8")

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append bytes."""
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]  # a raw file may write only some of the bytes

    def finish(self) -> None:
        """Replace the target with the part, which holds the whole file."""
        os.fsync(self._file.fileno())
        if sys.platform == "win32":
            self._file.close()  # Windows cannot rename an open file; without locks, closing releases none
        elif not _is_at(self._file, self.path):
            check_writable(self.target)
            raise OSError(errno.ESTALE, "its partial file was removed during the download; download it again")
        # Renamed while the lock is held: otherwise another download could claim the whole file as its part.
        self.path.replace(self.target)
        self._note_path.unlink(missing_ok=True)
        self._file.close()
        _fsync_folder(self.target.parent)

    def close(self, *, keep: bool = False) -> None:
        """Close an unfinished part; `keep` leaves it for a later download that can resume it."""
        if self._file.closed:
            return
        with suppress(OSError):  # an error that is already on its way matters more
            is_kept = keep and self._note is not None and os.fstat(self._file.fileno()).st_size > 0
            if not is_kept and _is_at(self._file, self.path):
                self.path.unlink(missing_ok=True)
                self._note_path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()

    def _read_note(self) -> _Note | None:
        try:
            note = json.loads(self._note_path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        match note:
            case {
                "export_id": str(export_id),
                "validator": str(validator),
                "size": int() | None as size,
                "boot": str(boot),
            } if is_validator(validator):
                return _Note(export_id, validator, size, boot)
            case _:
                return None


def check_writable(target: Path) -> None:
    """Raise an `OSError` if a file cannot be written to this path."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISDIR(target.parent.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))


def check_place(target: Path) -> None:
    """Raise a `DownloadError` if a file cannot be written to this path."""
    with os_errors_as(lambda problem: DownloadError(f"Cannot write {target}: {problem}", path=target)):
        check_writable(target)


@contextmanager
def os_errors_as(make_error: Callable[[str], DownloadError]) -> Generator[None]:
    """Raise the error that `make_error` returns in place of an `OSError`, whose problem it gets in words."""
    try:
        yield
    except OSError as error:
        raise make_error(describe_os_error(error)) from error


_PROBLEMS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOENT: "its folder does not exist",
    errno.ENOTDIR: "its parent is not a folder",
    errno.EISDIR: "it is a folder; give the path of a file",
    errno.EACCES: "no permission to write in its folder",
    errno.EROFS: "the file system is read-only",
}


def describe_os_error(error: OSError) -> str:
    """The problem with the path of a file, in words."""
    return _PROBLEMS.get(error.errno or 0) or error.strerror or type(error).__name__


@cache
def _boot_id() -> str:
    """An id that changes when the system restarts: a crash may lose bytes that were not flushed to disk."""
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _claim(path: Path) -> FileIO | None:
    """Open and lock a file; `None` if another download has locked it, or if there are no locks."""
    if sys.platform == "win32":
        return None
    while True:
        file = _open(path)
        try:
            is_locked = _lock(file)
        except OSError:
            is_locked = False
            if os.fstat(file.fileno()).st_size == 0:
                path.unlink(missing_ok=True)
        if not is_locked:
            file.close()
            return None
        if _is_at(file, path):
            return file
        file.close()  # another download finished and renamed it between the open and the lock


def _open(path: Path, flags: int = 0) -> FileIO:
    def create(name: str, usual: int) -> int:
        return os.open(name, usual | os.O_CREAT | flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return FileIO(path, "r+", opener=create)


def _lock(file: FileIO) -> bool:
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether the path still leads to this open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fsync_folder(folder: Path) -> None:
    """Flush a rename to disk, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
