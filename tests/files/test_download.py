"""Downloads to disk over real sockets: complete or not at all, resumed, and never mixed."""

import asyncio
import hashlib
import json
import os
import resource
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scripted import http, scripted
from test_remote import BODY, downloads, finished, plainly

from voucherify_exports import (
    ClientClosedError,
    DownloadCompleted,
    DownloadError,
    DownloadStarted,
    Export,
    ExportFailedError,
    ExportsClient,
    PollPolicy,
    RetryPolicy,
    Sandbox,
)
from voucherify_exports._files.part import Part, _boot_id

Connect = Callable[..., ExportsClient]

ONCE = RetryPolicy(attempts=1)
CHILD = """
import asyncio, sys
from voucherify_exports import ExportsClient

async def main(url, app_id, app_token, export_id, target):
    async with ExportsClient(app_id, app_token, base_url=url) as client:
        await client.download(export_id, target)

asyncio.run(main(*sys.argv[1:]))
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Make the system refuse to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for another task or process."""
    while not condition():
        await asyncio.sleep(0.005)


@pytest.fixture
def big(sandbox: Sandbox) -> str:
    """An export with a file of about 700 kB."""
    return sandbox.add_export("customer", rows=20_000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The path of an old file that the download replaces."""
    target = tmp_path / "customers.csv"
    target.write_bytes(b"old")
    return target


class TestWhole:
    @pytest.mark.parametrize("kind", [Path, str])
    async def test_replaces_the_target(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, kind: type
    ) -> None:
        """The file is at its path, and no other file remains."""
        body = await plainly(sandbox, big)
        path = await connect().download(big, kind(target))
        assert path == target
        assert target.read_bytes() == body
        assert names(target.parent) == {target.name}

    async def test_an_empty_file(self, connect: Connect, target: Path) -> None:
        """A file without bytes is complete."""
        async with scripted(http(200)) as server:
            await connect().download(finished(server.url), target)
        assert target.read_bytes() == b""

    async def test_has_the_permissions_of_a_normal_file(
        self, connect: Connect, big: str, tmp_path: Path
    ) -> None:
        """The umask of the process sets the permissions, as for other files."""
        usual = tmp_path / "usual"
        usual.touch()
        target = await connect().download(big, tmp_path / "file.csv")
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)

    async def test_replaces_only_at_the_end(self, connect: Connect, big: str, target: Path) -> None:
        """During the download the old file stays at the path."""
        observed: list[tuple[bytes, bool]] = []
        part = target.with_name("customers.csv.part")
        await connect().download(
            big, target, on_progress=lambda *_: observed.append((target.read_bytes(), part.exists()))
        )
        assert set(observed) == {(b"old", True)}

    async def test_reports_progress(
        self, sandbox: Sandbox, connect: Connect, big: str, tmp_path: Path
    ) -> None:
        """Progress goes from 0 to the size of the file; events report start and end."""
        size = len(await plainly(sandbox, big))
        reports: list[tuple[int, int | None]] = []
        events: list[Any] = []
        sandbox.fail(download=True, pause=0.01)
        await connect(on_event=events.append).download(
            big, tmp_path / "file.csv", on_progress=lambda *progress: reports.append(progress)
        )
        assert reports[0] == (0, size)
        assert reports[-1] == (size, size)
        assert len(reports) > 2
        assert reports == sorted(set(reports))
        started, completed = events[-2:]
        assert started == DownloadStarted(export_id=big, received=0, size=size)
        assert isinstance(completed, DownloadCompleted)
        assert completed.received == size

    async def test_an_unknown_size(self, connect: Connect, tmp_path: Path) -> None:
        """A chunked body has no length: the size is `None`."""
        answer = http(200, b"3\r\na,b\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")
        reports: list[tuple[int, int | None]] = []
        async with scripted(answer) as server:
            await connect().download(
                finished(server.url), tmp_path / "f", on_progress=lambda *progress: reports.append(progress)
            )
        assert reports == [(0, None), (3, None)]

    async def test_does_not_block_the_loop(
        self, connect: Connect, big: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All access to the disk happens in other threads."""
        threads: dict[str, int] = {}
        for name in ("open", "resume", "restart", "write", "finish", "close"):
            original = getattr(Part, name)

            def record(*args: Any, _name: str = name, _original: Any = original, **options: Any) -> Any:
                threads[_name] = threading.get_ident()
                return _original(*args, **options)

            monkeypatch.setattr(Part, name, record)
        await connect().download(big, tmp_path / "file.csv")
        assert threads.keys() == {"open", "resume", "restart", "write", "finish", "close"}
        assert threading.get_ident() not in threads.values()

    async def test_resumes_within_the_call(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """After each fault only the missing bytes are requested."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000, times=3)
        await connect().download(big, target, resume=False)
        assert target.read_bytes() == body
        assert [request.status for request in downloads(sandbox)] == [200, 206, 206, 206]

    async def test_restarts_within_the_call(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """If the server does not support ranges, the file is downloaded from the start again."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000, times=2, ranges=False)
        sandbox.fail(download=True, ranges=False)
        await connect().download(big, target)
        assert target.read_bytes() == body

    async def test_another_file_within_the_call(self, connect: Connect, target: Path) -> None:
        """A file that changed during the download is downloaded again as a whole."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        async with scripted(broken, http(200, BODY[5000:9000], ETag='"two"')) as server:
            await connect().download(finished(server.url), target)
        assert target.read_bytes() == BODY[5000:9000]


class TestResuming:
    """A download that an earlier call or process left unfinished."""

    @pytest.fixture
    async def left(self, sandbox: Sandbox, connect: Connect, big: str, target: Path) -> bytes:
        """The content of a file, of which an earlier download left 100,000 bytes beside the target."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000)
        with pytest.raises(DownloadError) as caught:
            await connect(retry=ONCE).download(big, target)
        assert caught.value.path == target
        assert caught.value.bytes_received == 100_000
        assert target.read_bytes() == b"old"
        assert names(target.parent) == {
            "customers.csv",
            "customers.csv.part",
            "customers.csv.part.json",
        }
        sandbox.clear(requests=True)
        return body

    async def test_resumes(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, left: bytes
    ) -> None:
        """Only the rest is requested; progress counts all bytes."""
        reports: list[tuple[int, int | None]] = []
        events: list[Any] = []
        await connect(on_event=events.append).download(
            big, target, on_progress=lambda *progress: reports.append(progress)
        )
        assert target.read_bytes() == left
        assert names(target.parent) == {target.name}
        (download,) = downloads(sandbox)
        assert download.headers["Range"] == "bytes=100000-"
        assert reports[0] == (100_000, len(left))
        assert reports[-1] == (len(left), len(left))
        assert DownloadStarted(export_id=big, received=100_000, size=len(left)) in events

    async def test_not_with_resume_false(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, left: bytes
    ) -> None:
        """`resume=False` starts at byte 0, and keeps no part when it fails."""
        sandbox.fail(download=True, truncate=True, after=200_000)
        with pytest.raises(DownloadError):
            await connect(retry=ONCE).download(big, target, resume=False)
        assert names(target.parent) == {target.name}
        assert "Range" not in downloads(sandbox)[0].headers
        await connect().download(big, target, resume=False)
        assert target.read_bytes() == left

    async def test_not_if_the_file_changed(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, left: bytes
    ) -> None:
        """A server that does not confirm the validator sends the whole file."""
        part = target.with_name("customers.csv.part.json")
        part.write_text(part.read_text().replace('"validator": "\\"', '"validator": "\\"other'))
        await connect().download(big, target)
        assert target.read_bytes() == left
        (download,) = downloads(sandbox)
        assert "Range" in download.headers
        assert download.status == 200

    async def test_not_with_another_export(
        self, sandbox: Sandbox, connect: Connect, target: Path, left: bytes
    ) -> None:
        """A download never resumes the part of another export."""
        other = sandbox.add_export("customer", rows=7)
        body = await plainly(sandbox, other)
        await connect().download(other, target)
        assert target.read_bytes() == body
        assert left
        assert "Range" not in downloads(sandbox)[0].headers

    async def test_when_no_byte_is_missing(self, connect: Connect, target: Path) -> None:
        """After a crash before the rename, the last byte is requested to prove that nothing changed."""
        part = target.with_name("customers.csv.part")
        part.write_bytes(BODY)
        export = finished("http://127.0.0.1")
        note = {"export_id": export.id, "validator": '"one"', "size": len(BODY), "boot": _boot_id()}
        part.with_name("customers.csv.part.json").write_text(json.dumps(note))
        last = len(BODY) - 1
        answer = http(206, BODY[-1:], Content_Range=f"bytes {last}-{last}/{len(BODY)}", ETag='"one"')
        async with scripted(answer) as server:
            await connect().download(finished(server.url), target)
        assert server.headers(0)["range"] == f"bytes={last}-"
        assert target.read_bytes() == BODY

    async def test_after_a_kill(self, sandbox: Sandbox, connect: Connect, big: str, target: Path) -> None:
        """A killed process leaves what it wrote, and no lock."""
        body = await plainly(sandbox, big)
        part = target.with_name("customers.csv.part")
        sandbox.fail(download=True, pause=0.3)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, sandbox.url, sandbox.app_id, sandbox.app_token, big, target
        )
        await until(lambda: part.exists() and part.stat().st_size > 0)
        process.kill()
        await process.wait()
        kept = part.stat().st_size
        assert 0 < kept < len(body)
        await connect().download(big, target)
        assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(body).digest()
        assert downloads(sandbox)[-1].headers["Range"] == f"bytes={kept}-"


class TestPlace:
    """A path that cannot be written to is reported in words, and nothing is changed."""

    async def test_no_folder(self, sandbox: Sandbox, connect: Connect, big: str, tmp_path: Path) -> None:
        """No request is sent."""
        target = tmp_path / "none" / "file.csv"
        with pytest.raises(DownloadError, match="its folder does not exist") as caught:
            await connect().download(big, target)
        assert caught.value.path == target
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        assert sandbox.requests == []

    async def test_a_folder(self, sandbox: Sandbox, connect: Connect, big: str, tmp_path: Path) -> None:
        """The path of a folder is refused."""
        with pytest.raises(DownloadError, match="it is a folder; give the path of a file"):
            await connect().download(big, tmp_path)
        assert sandbox.requests == []

    async def test_under_a_file(self, connect: Connect, big: str, target: Path) -> None:
        """A path below a file is refused."""
        with pytest.raises(DownloadError, match="its parent is not a folder"):
            await connect().download(big, target / "file.csv")

    async def test_no_permission(
        self, connect: Connect, big: str, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder without write permission is refused; for root, `os.access` is patched."""
        if os.geteuid() == 0:
            monkeypatch.setattr(os, "access", lambda *_: False)
        target.parent.chmod(0o555)
        try:
            with pytest.raises(DownloadError, match="no permission to write in its folder"):
                await connect().download(big, target)
        finally:
            target.parent.chmod(0o755)
        assert names(target.parent) == {target.name}

    async def test_a_full_disk(self, sandbox: Sandbox, connect: Connect, big: str, target: Path) -> None:
        """The old file stays, and the download resumes once there is space."""
        body = await plainly(sandbox, big)
        with (
            files_of_at_most(300_000),
            pytest.raises(
                DownloadError, match=rf"^Downloading export {big} to {target} failed after .*too large"
            ) as caught,
        ):
            await connect().download(big, target)
        assert caught.value.path == target
        assert isinstance(caught.value.__cause__, OSError)
        assert target.read_bytes() == b"old"
        sandbox.clear(requests=True)
        await connect().download(big, target)
        assert target.read_bytes() == body
        assert downloads(sandbox)[0].headers["Range"] == "bytes=300000-"

    async def test_a_folder_that_is_removed(self, connect: Connect, big: str, tmp_path: Path) -> None:
        """An error of the last step is reported as well."""
        folder = tmp_path / "folder"
        folder.mkdir()

        def remove(*_: object) -> None:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

        with pytest.raises(DownloadError, match="its folder does not exist"):
            await connect().download(big, folder / "file.csv", on_progress=once(remove))

    async def test_an_invalid_id(self, connect: Connect, tmp_path: Path) -> None:
        """An invalid id is refused before anything is changed."""
        with pytest.raises(ValueError, match="is not an export id"):
            await connect().download("a/b", tmp_path / "file.csv")
        assert names(tmp_path) == set()

    async def test_a_failed_export(self, sandbox: Sandbox, connect: Connect, tmp_path: Path) -> None:
        """An export in ERROR leaves no part."""
        with pytest.raises(ExportFailedError):
            await connect().download(sandbox.add_export("order", outcome="ERROR"), tmp_path / "file.csv")
        assert names(tmp_path) == set()


def once(work: Callable[..., None]) -> Callable[..., None]:
    """Call `work` at the last progress report only."""

    def report(received: int, total: int | None) -> None:
        if received == total:
            work()

    return report


class TestSideBySide:
    async def test_to_one_path(self, sandbox: Sandbox, connect: Connect, target: Path) -> None:
        """Each file is complete, and the last one stays."""
        ids = [sandbox.add_export(kind, rows=3000) for kind in ("customer", "order", "sku")]
        bodies = [await plainly(sandbox, export_id) for export_id in ids]
        client = connect()
        observed: set[bytes] = set()
        downloading = [
            client.download(export_id, target, on_progress=lambda *_: observed.add(target.read_bytes()))
            for export_id in ids
        ]
        await asyncio.gather(*downloading)
        assert target.read_bytes() in bodies
        assert observed <= {b"old", *bodies}
        assert names(target.parent) == {target.name}

    async def test_the_same_file_to_one_path(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """Two clients download one file to one path at the same time."""
        body = await plainly(sandbox, big)
        await asyncio.gather(connect().download(big, target), connect().download(big, target))
        assert target.read_bytes() == body
        assert names(target.parent) == {target.name}

    async def test_max_connections(self, sandbox: Sandbox, connect: Connect, tmp_path: Path) -> None:
        """At most `max_connections` downloads run at once, and the others follow."""
        ids = [sandbox.add_export("order", rows=10) for _ in range(6)]
        under_way: set[str] = set()
        peak = 0

        def record(event: object) -> None:
            nonlocal peak
            if isinstance(event, DownloadStarted):
                under_way.add(event.export_id)
                peak = max(peak, len(under_way))
            elif isinstance(event, DownloadCompleted):
                under_way.discard(event.export_id)

        client = connect(max_connections=2, on_event=record)
        await asyncio.gather(*(client.download(export_id, tmp_path / export_id) for export_id in ids))
        assert peak == 2
        assert names(tmp_path) == set(ids)


class TestEnding:
    async def test_cancelling(self, sandbox: Sandbox, connect: Connect, big: str, target: Path) -> None:
        """What was received is kept, and the next call resumes."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, after=200_000, pause=float("inf"))
        task = asyncio.create_task(connect().download(big, target))
        await until(lambda: len(downloads(sandbox)) == 1 and target.with_name("customers.csv.part").exists())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert target.read_bytes() == b"old"
        await connect().download(big, target)
        assert target.read_bytes() == body

    @pytest.mark.parametrize("step", ["open", "resume", "restart", "write", "finish"])
    async def test_cancelling_at_the_disk(
        self, connect: Connect, big: str, target: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """However often it is cancelled, the file is closed only after the thread has finished its work."""
        entered, may_continue = threading.Event(), threading.Event()
        original = getattr(Part, step)
        done: list[str] = []

        def hold(*args: Any) -> Any:
            entered.set()
            may_continue.wait()
            result = original(*args)
            done.append(step)
            return result

        monkeypatch.setattr(Part, step, hold)
        task = asyncio.create_task(connect().download(big, target))
        await until(entered.is_set)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        may_continue.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [step]
        monkeypatch.undo()
        await connect().download(big, target)
        assert names(target.parent) == {target.name}

    async def test_closing_the_client(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """Running downloads and those that wait for a connection raise `ClientClosedError`."""
        sandbox.fail(download=True, after=200_000, pause=float("inf"))
        client = connect(max_connections=1)
        tasks = [asyncio.create_task(client.download(big, target.with_name(name))) for name in "ab"]
        await until(lambda: len(downloads(sandbox)) == 1)
        await client.close()
        for task in tasks:
            with pytest.raises(ClientClosedError):
                await task
        with pytest.raises(ClientClosedError):
            await client.download(big, target)

    async def test_a_callback_that_raises(self, connect: Connect, big: str, target: Path) -> None:
        """An exception from `on_progress` reaches the caller unchanged."""
        with pytest.raises(ZeroDivisionError):
            await connect().download(big, target, on_progress=lambda received, _: 1 // received)
        assert target.read_bytes() == b"old"


class TestExportTo:
    """`export_to` creates an export, waits for it and downloads it."""

    @pytest.fixture
    async def sandbox(self) -> AsyncIterator[Sandbox]:
        """A sandbox whose exports take a moment to finish."""
        async with Sandbox(scheduled_for=0.05, in_progress_for=0.05) as sandbox:
            yield sandbox

    @pytest.fixture
    def client(self, connect: Connect) -> ExportsClient:
        """A client that polls often."""
        return connect(poll=PollPolicy(initial=0.01, max=0.05))

    async def test_all_in_one(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """The file has the requested fields."""
        updates: list[Export] = []
        reports: list[tuple[int, int | None]] = []
        path = await client.export_to(
            tmp_path / "vouchers.CSV",
            "voucher",
            fields=["code", "value"],
            on_update=updates.append,
            on_progress=lambda *progress: reports.append(progress),
        )
        assert path == tmp_path / "vouchers.CSV"
        lines = path.read_text().splitlines()
        assert lines[0] == "Code,Value"
        assert len(lines) > 10
        assert updates[-1].is_done
        assert reports[-1] == (path.stat().st_size, path.stat().st_size)
        assert [request.method for request in sandbox.requests].count("POST") == 1

    @pytest.mark.parametrize("name", ["file.xlsx", "file", ".csv", "file.csv.gz"])
    async def test_an_unknown_suffix(
        self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path, name: str
    ) -> None:
        """An unknown suffix is refused before an export is created."""
        with pytest.raises(ValueError, match=r"the path must end in one of \.csv, \.parquet"):
            await client.export_to(tmp_path / name, "voucher")
        assert sandbox.requests == []

    async def test_an_invalid_path(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """A path that cannot be written to is refused before an export is created."""
        with pytest.raises(DownloadError, match="its folder does not exist"):
            await client.export_to(tmp_path / "none" / "file.csv", "voucher")
        assert sandbox.requests == []

    async def test_an_unknown_field(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """An unknown field is refused before anything is sent."""
        with pytest.raises(ValueError, match="did you mean 'code'"):
            await client.export_to(tmp_path / "file.csv", "voucher", fields=["cod"])
        assert sandbox.requests == []
        assert names(tmp_path) == set()
