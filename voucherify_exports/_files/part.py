"""The file in which a download grows, beside its target. All of it blocks, and most raises `OSError`."""

import errno
import json
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from io import FileIO
from pathlib import Path

from attrs import asdict, define, frozen

from ..errors import DownloadError
from .resume import Identity, is_validator

if sys.platform != "win32":
    import fcntl


_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@frozen
class _Note:
    """What is written beside a part, so that a later download can tell whether it may go on."""

    export_id: str
    validator: str
    size: int | None
    boot: str


@define
class Part:
    """`target` + `.part`, or a file of another name while somebody else downloads to the same target."""

    target: Path
    path: Path
    has_fixed_name: bool
    _file: FileIO
    _note: _Note | None = None

    @classmethod
    def open(cls, target: Path) -> "Part":
        """Make or find the part, without touching what is in it."""
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
        """How many bytes of the export's file an earlier download left here, and which file that was."""
        size = os.fstat(self._file.fileno()).st_size
        note = self._read_note() if size and self.has_fixed_name else None
        if note is None or (note.export_id, note.boot) != (export_id, _boot_id()):
            return 0, Identity()
        if note.size is not None and size > note.size:
            return 0, Identity()
        self._note = note
        # The last byte is asked for again, if only to learn that the file is still the same.
        offset = size if note.size is None else min(size, max(note.size - 1, 0))
        self._file.truncate(offset)
        self._file.seek(offset)
        return offset, Identity(note.validator, note.size)

    def restart(self, export_id: str, identity: Identity) -> None:
        """Begin with an empty part of a file."""
        self._file.truncate(0)
        self._file.seek(0)
        self._note_path.unlink(missing_ok=True)
        self._note = None
        if identity.validator is not None and self.has_fixed_name:
            self._note = _Note(export_id, identity.validator, identity.size, _boot_id())
            self._note_path.write_text(json.dumps(asdict(self._note)), encoding="utf-8")

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append."""
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Put the whole file in the place of its target, in one step and for good."""
        os.fsync(self._file.fileno())
        if sys.platform == "win32":
            self._file.close()  # an open file cannot be renamed where there are no such locks
        elif not _is_at(self._file, self.path):
            check_writable(self.target)
            raise OSError(errno.ESTALE, "what was gathered for it was removed meanwhile")
        # Renamed before the lock is given up: nobody may take it for a part that was left.
        self.path.replace(self.target)
        self._note_path.unlink(missing_ok=True)
        self._file.close()
        _fsync_folder(self.target.parent)

    def close(self, *, keep: bool = False) -> None:
        """Close what did not become whole; what cannot be resumed, or is not to be, is removed."""
        if self._file.closed:
            return
        with suppress(OSError):  # there is an error already, and this one is worth less
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
    """Raise an `OSError` where no file could be put."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISDIR(target.parent.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))


def check_place(target: Path) -> None:
    """Raise `DownloadError` where no file could be put, in words."""
    try:
        check_writable(target)
    except OSError as fault:
        raise DownloadError(
            f"No file can be put at {target}: {describe_os_error(fault)}", path=target
        ) from fault


_PROBLEMS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOENT: "its folder does not exist",
    errno.ENOTDIR: "its folder is no folder",
    errno.EISDIR: "it is a folder, and a file name is needed",
    errno.EACCES: "there is no permission to write in its folder",
    errno.EROFS: "the file system cannot be written to",
}


def describe_os_error(fault: OSError) -> str:
    """What is wrong with the place of a file, in words."""
    return _PROBLEMS.get(fault.errno or 0) or fault.strerror or type(fault).__name__


@cache
def _boot_id() -> str:
    """What tells this run of the system from others: what was not yet on disk when it ended is lost."""
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _claim(path: Path) -> FileIO | None:
    """Open a file to write to it alone; `None` while somebody else does, or where there are no locks."""
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
        file.close()  # it was whole, and renamed, just before it could be locked


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
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fsync_folder(folder: Path) -> None:
    """Make the renaming last; not every system can."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(number)
