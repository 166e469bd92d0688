import errno
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import ID
from test_house import UNMEASURED

from voucherify_exports._files import part as parts
from voucherify_exports._files.part import Part, check_writable, describe_os_error
from voucherify_exports._files.resume import Identity

BODY = bytes(range(20))
SAME = Identity('"5f1e"', 20)
ANY = Identity()

HOLD_THE_LOCK = f"""
import sys
from pathlib import Path
from voucherify_exports._files.part import Part
from voucherify_exports._files.resume import Identity

part = Part.open(Path(sys.argv[1]))
part.restart({ID!r}, Identity('"5f1e"', 20))
part.write([bytes(range(12))])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def make_part(target: Path, body: bytes = BODY, identity: Identity = SAME) -> Part:
    """A part that contains these bytes of the export's file."""
    part = Part.open(target)
    part.restart(ID, identity)
    part.write([body])
    return part


def leave_part(target: Path, body: bytes, identity: Identity = SAME) -> None:
    """Leave a part as an interrupted download does."""
    make_part(target, body, identity).close(keep=True)


def note(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


@contextmanager
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a folder read-only; root may still write, so that the system calls are patched for it."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    folder.chmod(0o555)
    try:
        with monkeypatch.context() as patch:
            if os.access(folder, os.W_OK):
                patch.setattr(os, "access", lambda *_: False)
                patch.setattr(Path, "unlink", refuse)
            yield
    finally:
        folder.chmod(0o755)


class TestWhole:
    def test_replaces_the_target(self, target: Path) -> None:
        """The target has all chunks in their order, and no other file remains."""
        part = Part.open(target)
        assert part.resume(ID) == (0, ANY)
        part.restart(ID, SAME)
        part.write([BODY[:3], b"", BODY[3:7]])
        part.write([])
        part.write([BODY[7:]])
        part.finish()

        assert target.read_bytes() == BODY
        assert names(target.parent) == {"orders.csv"}

    def test_may_be_empty(self, target: Path) -> None:
        """A file without bytes is complete."""
        part = Part.open(target)
        part.restart(ID, Identity(None, 0))
        part.finish()

        assert target.read_bytes() == b""

    def test_the_old_file_stays_until_then(self, target: Path) -> None:
        """The old file stays until the end, also for processes that have it open."""
        target.write_bytes(b"old")
        part = make_part(target)
        assert target.read_bytes() == b"old"

        with target.open("rb") as before:
            part.finish()
            assert before.read() == b"old"
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize(("mask", "bits"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_has_the_permissions_of_a_normal_file(self, target: Path, mask: int, bits: int) -> None:
        """The permissions are those that the umask allows, not the private ones of a temporary file."""
        before = os.umask(mask)
        try:
            make_part(target).finish()
        finally:
            os.umask(before)

        assert stat.S_IMODE(target.stat().st_mode) == bits

    def test_a_write_of_only_some_bytes(self, target: Path) -> None:
        """If the system writes fewer bytes than it was given, the rest is written next."""

        class Short(FileIO):
            def write(self, data: Any, /) -> int:
                return super().write(data[:3])

        path = target.with_name("orders.csv.part")
        part = Part(target, path, True, Short(path, "w"))
        part.write([BODY, BODY])
        part.finish()

        assert target.read_bytes() == BODY * 2

    def test_is_flushed_before_it_is_renamed(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a crash in between, the target is the old file or the new one, never an empty one."""
        synced: list[tuple[bool, bool]] = []
        part = make_part(target)
        monkeypatch.setattr(
            os,
            "fsync",
            lambda file: synced.append((stat.S_ISDIR(os.fstat(file).st_mode), target.exists())),
        )
        part.finish()

        assert synced == [(False, False), (True, True)]

    @pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
    def test_a_folder_that_cannot_be_synced(
        self, target: Path, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some file systems cannot flush a folder; the file is still renamed."""
        part = make_part(target)
        monkeypatch.setattr(os, "fsync", failing_for_folders(code, []))
        part.finish()

        assert target.read_bytes() == BODY

    def test_a_folder_that_cannot_be_read(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder can be writable without being readable."""
        part = make_part(target)
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refused)
            part.finish()

        assert target.read_bytes() == BODY

    def test_a_folder_whose_disk_fails(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error is raised, and no descriptor stays open."""
        part = make_part(target)
        descriptors: list[int] = []
        monkeypatch.setattr(os, "fsync", failing_for_folders(errno.EIO, descriptors))

        with pytest.raises(OSError, match=r"Input/output error") as caught:
            part.finish()
        assert caught.value.errno == errno.EIO
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptors[0])

    def test_a_disk_that_fails(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A part that could not be flushed does not replace the target."""
        target.write_bytes(b"old")
        part = make_part(target)
        monkeypatch.setattr(os, "fsync", refused)

        with pytest.raises(PermissionError):
            part.finish()
        part.close()
        assert target.read_bytes() == b"old"
        assert names(target.parent) == {"orders.csv"}


def failing_for_folders(code: int, descriptors: list[int]) -> Callable[[int], None]:
    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            descriptors.append(file)
            raise OSError(code, os.strerror(code))

    return fsync


def refused(*_: object) -> int:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


class TestRestart:
    def test_empties_the_part(self, target: Path) -> None:
        """Bytes of another file are removed."""
        part = make_part(target, b"of another file")
        part.restart(ID, SAME)
        part.write([b"short"])
        part.finish()

        assert target.read_bytes() == b"short"

    def test_writes_a_note(self, target: Path) -> None:
        """The note is replaced together with the bytes that it describes."""
        part = make_part(target, identity=Identity('"first"', 7))
        part.restart(ID, SAME)

        assert json.loads(note(target).read_bytes()) == {
            "export_id": ID,
            "validator": '"5f1e"',
            "size": 20,
            "boot": parts._boot_id(),
        }
        part.close()

    def test_writes_no_note_without_a_validator(self, target: Path) -> None:
        """Without a validator there is no note, and the old one is removed."""
        part = make_part(target)
        part.restart(ID, Identity(None, 20))

        assert names(target.parent) == {"orders.csv.part"}
        part.write([BODY])
        part.close(keep=True)
        assert names(target.parent) == set()


class TestResume:
    @pytest.mark.parametrize(
        ("size", "there", "offset"),
        [(20, 12, 12), (20, 19, 19), (20, 20, 19), (None, 12, 12), (None, 20, 20), (1, 1, 0)],
    )
    def test_after_the_bytes_on_disk(self, target: Path, size: int | None, there: int, offset: int) -> None:
        """The last byte of a whole file is requested again, to prove that the file is the same."""
        identity = Identity('"5f1e"', size)
        leave_part(target, BODY[:there], identity)

        part = Part.open(target)
        assert part.resume(ID) == (offset, identity)
        assert part.path.stat().st_size == offset
        part.write([b"-the rest"])
        part.finish()
        assert target.read_bytes() == BODY[:offset] + b"-the rest"

    def test_after_the_next_interruption(self, target: Path) -> None:
        """An attempt without new bytes loses nothing."""
        leave_part(target, BODY[:12])
        for _ in range(2):
            part = Part.open(target)
            assert part.resume(ID) == (12, SAME)
            part.close(keep=True)

    @given(
        st.binary(min_size=1, max_size=50), st.lists(st.integers(min_value=0, max_value=50)), st.booleans()
    )
    def test_in_any_number_of_steps(self, body: bytes, steps: list[int], is_known: bool) -> None:
        """However many bytes each attempt receives, the file is the same."""
        identity = Identity('"5f1e"', len(body) if is_known else None)
        with TemporaryDirectory() as folder:
            target = Path(folder, "orders.csv")
            for step in [*steps, None]:
                part = Part.open(target)
                offset, found = part.resume(ID)
                assert found in {ANY, identity}
                if offset == 0:
                    part.restart(ID, identity)
                part.write([body[offset:] if step is None else body[offset : offset + step]])
                if step is not None:
                    part.close(keep=True)
            part.finish()

            assert target.read_bytes() == body
            assert names(target.parent) == {"orders.csv"}

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 200_000,
            json.dumps({"export_id": ID, "validator": "a\r\nX: y", "size": 20, "boot": parts._boot_id()}),
            json.dumps({"export_id": ID, "validator": "\ud800", "size": 20, "boot": parts._boot_id()}),
            json.dumps({"export_id": ID, "validator": "", "size": 20, "boot": parts._boot_id()}),
            json.dumps({"export_id": ID, "validator": '"5f1e"', "size": 20, "boot": 1}),
        ],
    )
    def test_not_with_an_invalid_note(self, target: Path, text: str) -> None:
        """An invalid note restarts the download, and is not an error."""
        leave_part(target, BODY[:12])
        note(target).write_text(text)
        part = Part.open(target)
        assert part.resume(ID) == (0, Identity())
        part.close()

    def test_not_with_an_unreadable_note(self, target: Path) -> None:
        """A note that cannot be read, such as a folder, restarts the download."""
        leave_part(target, BODY[:12])
        note(target).unlink()
        note(target).mkdir()
        part = Part.open(target)
        assert part.resume(ID) == (0, Identity())
        part.close()

    def test_not_with_more_bytes_than_the_file_has(self, target: Path) -> None:
        """A part that is longer than the file cannot be part of it."""
        leave_part(target, BODY * 2)
        part = Part.open(target)
        assert part.resume(ID) == (0, Identity())
        part.close()

    @pytest.mark.parametrize("boot", ["", "another"])
    def test_not_after_a_restart_of_the_system(
        self, target: Path, boot: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a crash a part may have holes where bytes were not flushed."""
        leave_part(target, BODY[:12])
        monkeypatch.setattr(parts, "_boot_id", lambda: boot)
        part = Part.open(target)
        assert part.resume(ID) == (0, Identity())
        part.close()

    def test_on_systems_without_a_boot_id(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a system without a boot id, a part is resumed as if the system had not restarted."""
        monkeypatch.setattr(parts, "_BOOT_ID_FILE", target.with_name("none"))
        monkeypatch.setattr(parts, "_boot_id", parts._boot_id.__wrapped__)
        assert parts._boot_id() == ""
        leave_part(target, BODY[:12])
        part = Part.open(target)
        assert part.resume(ID) == (12, SAME)
        part.close()

    def test_not_of_another_export(self, target: Path) -> None:
        """A part of another export is not resumed."""
        leave_part(target, BODY[:12])

        assert_restarts(target, "exp_another")

    def test_not_without_bytes(self, target: Path) -> None:
        """An empty part is not resumed."""
        leave_part(target, BODY[:12])
        os.truncate(target.with_name("orders.csv.part"), 0)

        assert_restarts(target)

    def test_not_without_a_note(self, target: Path) -> None:
        """Without a note nothing is known about the bytes."""
        target.with_name("orders.csv.part").write_bytes(b"of another program")

        assert_restarts(target)

    def test_not_without_any_part(self, target: Path) -> None:
        """A note remains alone if a user removed the part."""
        leave_part(target, BODY[:12])
        target.with_name("orders.csv.part").unlink()

        assert_restarts(target)

    @pytest.mark.parametrize(
        "written",
        [
            b"",
            b'{"export_id": "%s", "validator": "\\"5f1e\\"", "si' % ID.encode(),
            b"\xff\xfe\x00",
            b"null",
            b"[1, 2]",
            b'"text"',
            b"{}",
            b'{"export_id": "%s", "validator": null, "size": 20}' % ID.encode(),
            b'{"export_id": "%s", "validator": "x"}' % ID.encode(),
            b'{"export_id": "%s", "validator": "x", "size": "20"}' % ID.encode(),
            b'{"export_id": "%s", "validator": "x", "size": 20.5}' % ID.encode(),
            b'{"export_id": 7, "validator": "x", "size": 20}',
        ],
    )
    def test_not_with_a_broken_note(self, target: Path, written: bytes) -> None:
        """A truncated note, or one of another program, restarts the download."""
        leave_part(target, BODY[:12])
        note(target).write_bytes(written)

        assert_restarts(target)


def assert_restarts(target: Path, export_id: str = ID) -> None:
    part = Part.open(target)
    assert part.has_fixed_name
    assert part.resume(export_id) == (0, ANY)
    part.restart(export_id, SAME)
    part.write([BODY])
    part.finish()
    assert target.read_bytes() == BODY
    assert names(target.parent) == {"orders.csv"}


class TestSideBySide:
    def test_each_has_a_part_of_its_own(self, target: Path) -> None:
        """The second does not see the bytes of the first; each is complete, and the last one stays."""
        first = make_part(target, BODY[:12])
        second = Part.open(target)
        assert second.resume(ID) == (0, ANY)
        second.restart(ID, SAME)
        second.write([b"of the second"])
        first.write([BODY[12:]])

        first.finish()
        assert target.read_bytes() == BODY
        second.finish()
        assert target.read_bytes() == b"of the second"
        assert names(target.parent) == {"orders.csv"}

    def test_as_many_as_there_are(self, target: Path) -> None:
        """One part has the fixed name, and all names start with that of the target."""
        parts = [Part.open(target) for _ in range(5)]

        assert [part.has_fixed_name for part in parts] == [True, False, False, False, False]
        found = names(target.parent)
        assert len(found) == 5
        assert all(name.startswith("orders.csv.") and name.endswith(".part") for name in found)
        for part in parts:
            part.close()
        assert names(target.parent) == set()

    def test_a_part_with_a_random_name_is_not_kept(self, target: Path) -> None:
        """No later download would find it."""
        first = make_part(target, BODY[:12])
        make_part(target).close(keep=True)

        assert names(target.parent) == {"orders.csv.part", "orders.csv.part.json"}
        first.write([BODY[12:]])
        first.finish()
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize("end", [Part.finish, Part.close])
    def test_one_after_the_other(self, target: Path, end: Callable[[Part], None]) -> None:
        """After a download has ended, the next one gets the fixed name."""
        end(make_part(target))

        part = Part.open(target)
        assert part.has_fixed_name
        part.close()

    def test_a_whole_part_cannot_be_claimed(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is still locked while it is renamed."""
        first, replace = make_part(target), Path.replace

        def open_another(path: Path, to: Path) -> Path:
            other = Part.open(target)
            assert not other.has_fixed_name
            other.close()
            return replace(path, to)

        monkeypatch.setattr(Path, "replace", open_another)
        first.finish()
        assert target.read_bytes() == BODY

    def test_a_process_that_is_killed(self, target: Path) -> None:
        """The system releases its lock, and another download resumes its part."""
        with subprocess.Popen(
            [sys.executable, "-c", HOLD_THE_LOCK, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=UNMEASURED,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            other = Part.open(target)
            assert not other.has_fixed_name
            other.close()
            child.kill()
            child.wait()

        part = Part.open(target)
        assert part.has_fixed_name
        assert part.resume(ID) == (12, SAME)
        part.write([BODY[12:]])
        part.finish()
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize("is_followed", [True, False])
    @pytest.mark.parametrize("end", [Part.finish, Part.close])
    def test_one_that_ends_while_it_is_opened(
        self,
        target: Path,
        end: Callable[[Part], None],
        monkeypatch: pytest.MonkeyPatch,
        *,
        is_followed: bool,
    ) -> None:
        """The opened file is no longer the part: another download has renamed or removed it."""
        first, others, lock = make_part(target), list[Part](), parts._lock

        def end_first(file: FileIO) -> bool:
            monkeypatch.setattr(parts, "_lock", lock)
            end(first)
            if is_followed:
                others.append(make_part(target, b"of the third"))
            return lock(file)

        monkeypatch.setattr(parts, "_lock", end_first)
        second = Part.open(target)
        second.restart(ID, SAME)
        second.write([b"of the second"])

        assert second.has_fixed_name is not is_followed
        assert not target.exists() or target.read_bytes() == BODY
        for part in [*others, second]:
            part.finish()
        assert target.read_bytes() == b"of the second"
        assert names(target.parent) == {"orders.csv"}

    @pytest.mark.parametrize("code", [errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS])
    def test_a_file_system_without_locks(
        self, target: Path, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without locks a part could be in use, so that each download gets a random name."""

        def flock(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", flock)
        first, second = make_part(target), make_part(target, b"of the second")

        assert not first.has_fixed_name
        assert not second.has_fixed_name
        for part, body in ((first, BODY), (second, b"of the second")):
            part.finish()
            assert target.read_bytes() == body
        assert names(target.parent) == {"orders.csv"}

    def test_a_file_system_whose_locks_fail_later(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A download that cannot lock an existing part does not change it."""
        leave_part(target, BODY[:12])

        def flock(*_: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", flock)
        make_part(target).finish()
        assert names(target.parent) == {"orders.csv", "orders.csv.part", "orders.csv.part.json"}

    def test_a_removed_part(self, target: Path) -> None:
        """After a user removed the part, the new part of another download is not renamed instead."""
        target.write_bytes(b"old")
        first = make_part(target)
        first.path.unlink()
        second = make_part(target, BODY[:10])
        with pytest.raises(OSError, match="was removed during the download; download it again"):
            first.finish()
        first.close()
        assert target.read_bytes() == b"old"
        second.finish()
        assert target.read_bytes() == BODY[:10]


class TestClose:
    @pytest.mark.parametrize(
        ("keep", "body", "identity", "left"),
        [
            (True, BODY, SAME, {"orders.csv.part", "orders.csv.part.json"}),
            (True, BODY, Identity('"5f1e"'), {"orders.csv.part", "orders.csv.part.json"}),
            (True, BODY, Identity(None, 20), set()),
            (True, b"", SAME, set()),
            (False, BODY, SAME, set()),
        ],
    )
    def test_keeps_what_can_be_resumed(
        self, target: Path, keep: bool, body: bytes, identity: Identity, left: set[str]
    ) -> None:
        """A part is kept if that is requested and it can be resumed; nothing else remains."""
        make_part(target, body, identity).close(keep=keep)

        assert names(target.parent) == left

    def test_removes_an_earlier_part(self, target: Path) -> None:
        """Without `keep`, what an earlier download left is removed as well."""
        leave_part(target, BODY[:12])
        Part.open(target).close()

        assert names(target.parent) == set()

    def test_does_nothing_after_finish(self, target: Path) -> None:
        """The part at that path may belong to another download by then."""
        first = make_part(target)
        first.finish()
        other = make_part(target, b"of another")
        first.close()
        first.close(keep=True)

        assert target.read_bytes() == BODY
        assert names(target.parent) == {"orders.csv", "orders.csv.part", "orders.csv.part.json"}
        other.finish()
        assert target.read_bytes() == b"of another"

    def test_twice(self, target: Path) -> None:
        """A second call does not remove the part of another download."""
        first = make_part(target)
        first.close()
        other = make_part(target)
        first.close()

        other.finish()
        assert target.read_bytes() == BODY

    def test_a_folder_that_is_gone(self, tmp_path: Path) -> None:
        """Closing raises no error that would hide the first one."""
        (tmp_path / "folder").mkdir()
        part = make_part(tmp_path / "folder" / "orders.csv")
        shutil.rmtree(tmp_path / "folder")
        part.close()

        assert part._file.closed

    def test_a_folder_that_is_read_only(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A part that cannot be removed stays, but is closed."""
        part = make_part(target)
        with read_only(target.parent, monkeypatch):
            part.close()

        assert part._file.closed
        assert "orders.csv.part" in names(target.parent)

    def test_a_folder_in_its_place(self, target: Path) -> None:
        """A folder at the path of the part cannot be unlinked, not even by root."""
        part = make_part(target)
        part.path.unlink()
        part.path.mkdir()
        part.close()

        assert part._file.closed

    def test_a_disk_that_fails_at_the_end(self, target: Path) -> None:
        """Some file systems report a failed write only when the file is closed."""

        class Failing(FileIO):
            def close(self) -> None:
                if not self.closed:
                    super().close()
                    raise OSError(errno.EIO, os.strerror(errno.EIO))

        path = target.with_name("orders.csv.part")
        part = Part(target, path, True, Failing(path, "w"))
        part.close()

        assert part._file.closed
        assert names(target.parent) == set()


class TestLinks:
    def test_a_link_is_not_a_part(self, target: Path, tmp_path: Path) -> None:
        """A user who may write to the folder cannot make us overwrite another file."""
        precious = tmp_path / "precious"
        precious.write_bytes(b"precious")
        target.with_name("orders.csv.part").symlink_to(precious)

        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            Part.open(target)
        assert precious.read_bytes() == b"precious"

    def test_a_broken_link_is_not_a_part(self, target: Path, tmp_path: Path) -> None:
        """Nor can they make us create one elsewhere."""
        target.with_name("orders.csv.part").symlink_to(tmp_path / "made")

        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            Part.open(target)
        assert names(tmp_path) == {"orders.csv.part"}

    def test_a_link_is_not_a_note(self, target: Path, tmp_path: Path) -> None:
        """A link at the path of the note is removed before the note is written."""
        precious = tmp_path / "precious"
        precious.write_bytes(b"precious")
        note(target).symlink_to(precious)
        part = make_part(target)

        assert precious.read_bytes() == b"precious"
        assert not note(target).is_symlink()
        part.close()


class TestCheckTarget:
    @pytest.mark.parametrize("name", ["orders.csv", "none.csv"])
    def test_an_existing_or_a_new_file(self, tmp_path: Path, name: str) -> None:
        """Both are accepted, and the check creates no file."""
        (tmp_path / "orders.csv").touch()
        check_writable(tmp_path / name)

        assert names(tmp_path) == {"orders.csv"}

    @pytest.mark.parametrize(
        ("place", "error", "problem"),
        [
            ("folder", IsADirectoryError, "it is a folder; give the path of a file"),
            ("missing/orders.csv", FileNotFoundError, "its folder does not exist"),
            ("file/folder/orders.csv", NotADirectoryError, "its parent is not a folder"),
        ],
    )
    def test_an_invalid_path(self, tmp_path: Path, place: str, error: type[OSError], problem: str) -> None:
        """The errors are those of the system, with words for each."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()

        with pytest.raises(error) as caught:
            check_writable(tmp_path / place)
        assert describe_os_error(caught.value) == problem

    def test_no_permission(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replacing a file needs write permission in its folder."""
        target.touch()

        with read_only(target.parent, monkeypatch), pytest.raises(PermissionError) as caught:
            check_writable(target)
        assert describe_os_error(caught.value) == "no permission to write in its folder"
        assert caught.value.filename == str(target.parent)


class TestDescribeOSError:
    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            (errno.ENOSPC, "the disk is full"),
            (errno.EDQUOT, "the disk quota is used up"),
            (errno.EROFS, "the file system is read-only"),
            (errno.EFBIG, os.strerror(errno.EFBIG)),
            (errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)),
        ],
    )
    def test_is_in_words(self, code: int, problem: str) -> None:
        """Common errors have our own words, others those of the system."""
        assert describe_os_error(OSError(code, os.strerror(code))) == problem

    @pytest.mark.parametrize("error", [OSError(), OSError("text"), OSError(0, "")])
    def test_is_never_empty(self, error: OSError) -> None:
        """An error without a number is described by its class."""
        assert describe_os_error(error) == "OSError"
