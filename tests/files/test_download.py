"""Files on disk, over real sockets: whole or not at all, gone on with, and never mixed."""

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
    """Let the system refuse to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task or process does."""
    while not condition():
        await asyncio.sleep(0.005)


@pytest.fixture
def big(sandbox: Sandbox) -> str:
    """An export with a file of some 700 kB."""
    return sandbox.add_export("customer", rows=20_000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a file of before is to be replaced."""
    target = tmp_path / "customers.csv"
    target.write_bytes(b"of before")
    return target


class TestWhole:
    @pytest.mark.parametrize("kind", [Path, str])
    async def test_takes_the_place(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, kind: type
    ) -> None:
        """The file is there under its name, and nothing else is left."""
        body = await plainly(sandbox, big)
        path = await connect().download(big, kind(target))
        assert path == target
        assert target.read_bytes() == body
        assert names(target.parent) == {target.name}

    async def test_an_empty_file(self, connect: Connect, target: Path) -> None:
        """A file of no bytes is a whole one."""
        async with scripted(http(200)) as server:
            await connect().download(finished(server.url), target)
        assert target.read_bytes() == b""

    async def test_has_the_bits_of_a_normal_file(self, connect: Connect, big: str, tmp_path: Path) -> None:
        """Whoever may read the other files of the process may read it."""
        usual = tmp_path / "usual"
        usual.touch()
        target = await connect().download(big, tmp_path / "file.csv")
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)

    async def test_replaces_only_at_the_end(self, connect: Connect, big: str, target: Path) -> None:
        """While it grows, it is another file."""
        seen: list[tuple[bytes, bool]] = []
        part = target.with_name("customers.csv.part")
        await connect().download(
            big, target, on_progress=lambda *_: seen.append((target.read_bytes(), part.exists()))
        )
        assert set(seen) == {(b"of before", True)}

    async def test_tells_its_progress(
        self, sandbox: Sandbox, connect: Connect, big: str, tmp_path: Path
    ) -> None:
        """Bytes on disk and in all, from none to all; and the events."""
        size = len(await plainly(sandbox, big))
        told: list[tuple[int, int | None]] = []
        events: list[Any] = []
        sandbox.fail(download=True, pause=0.01)
        await connect(on_event=events.append).download(
            big, tmp_path / "file.csv", on_progress=lambda *progress: told.append(progress)
        )
        assert told[0] == (0, size)
        assert told[-1] == (size, size)
        assert len(told) > 2
        assert told == sorted(set(told))
        started, completed = events[-2:]
        assert started == DownloadStarted(export_id=big, received=0, size=size)
        assert isinstance(completed, DownloadCompleted)
        assert completed.received == size

    async def test_a_total_that_is_not_known(self, connect: Connect, tmp_path: Path) -> None:
        """A body in chunks has no length."""
        answer = http(200, b"3\r\na,b\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")
        told: list[tuple[int, int | None]] = []
        async with scripted(answer) as server:
            await connect().download(
                finished(server.url), tmp_path / "f", on_progress=lambda *progress: told.append(progress)
            )
        assert told == [(0, None), (3, None)]

    async def test_does_not_block_the_loop(
        self, connect: Connect, big: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What touches the disk is done in other threads."""
        threads: dict[str, int] = {}
        for name in ("open", "resume", "restart", "write", "finish", "close"):
            original = getattr(Part, name)

            def note(*args: Any, _name: str = name, _original: Any = original, **options: Any) -> Any:
                threads[_name] = threading.get_ident()
                return _original(*args, **options)

            monkeypatch.setattr(Part, name, note)
        await connect().download(big, tmp_path / "file.csv")
        assert threads.keys() == {"open", "resume", "restart", "write", "finish", "close"}
        assert threading.get_ident() not in threads.values()

    async def test_goes_on_within_the_call(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """Each fault costs what did not come, and nothing more."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000, times=3)
        await connect().download(big, target, resume=False)
        assert target.read_bytes() == body
        assert [request.status for request in downloads(sandbox)] == [200, 206, 206, 206]

    async def test_begins_anew_within_the_call(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """Where the server has no ranges, the file is fetched from its start."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000, times=2, ranges=False)
        sandbox.fail(download=True, ranges=False)
        await connect().download(big, target)
        assert target.read_bytes() == body

    async def test_another_file_within_the_call(self, connect: Connect, target: Path) -> None:
        """What changed meanwhile is fetched as a whole."""
        broken = http(200, BODY[:1000], Content_Length=2000, ETag='"one"')
        async with scripted(broken, http(200, BODY[5000:9000], ETag='"two"')) as server:
            await connect().download(finished(server.url), target)
        assert target.read_bytes() == BODY[5000:9000]


class TestGoingOnLater:
    """A download that an earlier call, or process, did not end."""

    @pytest.fixture
    async def left(self, sandbox: Sandbox, connect: Connect, big: str, target: Path) -> bytes:
        """The file, of which 100,000 bytes were left beside the target."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, truncate=True, after=100_000)
        with pytest.raises(DownloadError) as caught:
            await connect(retry=ONCE).download(big, target)
        assert caught.value.path == target
        assert caught.value.bytes_received == 100_000
        assert target.read_bytes() == b"of before"
        assert names(target.parent) == {
            "customers.csv",
            "customers.csv.part",
            "customers.csv.part.json",
        }
        sandbox.clear(requests=True)
        return body

    async def test_goes_on(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, left: bytes
    ) -> None:
        """The rest is asked for, and all of it told as progress."""
        told: list[tuple[int, int | None]] = []
        events: list[Any] = []
        await connect(on_event=events.append).download(
            big, target, on_progress=lambda *progress: told.append(progress)
        )
        assert target.read_bytes() == left
        assert names(target.parent) == {target.name}
        (download,) = downloads(sandbox)
        assert download.headers["Range"] == "bytes=100000-"
        assert told[0] == (100_000, len(left))
        assert told[-1] == (len(left), len(left))
        assert DownloadStarted(export_id=big, received=100_000, size=len(left)) in events

    async def test_not_if_it_is_not_wanted(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, left: bytes
    ) -> None:
        """`resume=False` begins at the start, and leaves nothing when it fails."""
        sandbox.fail(download=True, truncate=True, after=200_000)
        with pytest.raises(DownloadError):
            await connect(retry=ONCE).download(big, target, resume=False)
        assert names(target.parent) == {target.name}
        assert "Range" not in downloads(sandbox)[0].headers
        await connect().download(big, target, resume=False)
        assert target.read_bytes() == left

    async def test_not_if_the_file_is_another(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path, left: bytes
    ) -> None:
        """A server that does not confirm the validator sends the whole."""
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
        """The part of one export is nothing to another."""
        other = sandbox.add_export("customer", rows=7)
        body = await plainly(sandbox, other)
        await connect().download(other, target)
        assert target.read_bytes() == body
        assert left
        assert "Range" not in downloads(sandbox)[0].headers

    async def test_when_no_byte_is_missing(self, connect: Connect, target: Path) -> None:
        """A process that died just before the end: the last byte tells that the file is the same."""
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
        """A process that is killed leaves what it wrote, and nobody locked out."""
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
    """A place where no file can be is told in words, and nothing is touched."""

    async def test_no_folder(self, sandbox: Sandbox, connect: Connect, big: str, tmp_path: Path) -> None:
        """Nothing is asked for."""
        target = tmp_path / "none" / "file.csv"
        with pytest.raises(DownloadError, match="its folder does not exist") as caught:
            await connect().download(big, target)
        assert caught.value.path == target
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        assert sandbox.requests == []

    async def test_a_folder(self, sandbox: Sandbox, connect: Connect, big: str, tmp_path: Path) -> None:
        """A file name is needed."""
        with pytest.raises(DownloadError, match="it is a folder"):
            await connect().download(big, tmp_path)
        assert sandbox.requests == []

    async def test_under_a_file(self, connect: Connect, big: str, target: Path) -> None:
        """A file is no folder."""
        with pytest.raises(DownloadError, match="its folder is no folder"):
            await connect().download(big, target / "file.csv")

    async def test_no_permission(
        self, connect: Connect, big: str, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the system allows root everything, it is asked for the answer that others get."""
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
        """What is there stays as it was; what came goes on when there is room."""
        body = await plainly(sandbox, big)
        with (
            files_of_at_most(300_000),
            pytest.raises(DownloadError, match=rf"{big} did not arrive at {target}: .*too large") as caught,
        ):
            await connect().download(big, target)
        assert caught.value.path == target
        assert isinstance(caught.value.__cause__, OSError)
        assert target.read_bytes() == b"of before"
        sandbox.clear(requests=True)
        await connect().download(big, target)
        assert target.read_bytes() == body
        assert downloads(sandbox)[0].headers["Range"] == "bytes=300000-"

    async def test_a_folder_that_is_removed_meanwhile(
        self, connect: Connect, big: str, tmp_path: Path
    ) -> None:
        """An error of the last step is told as well."""
        folder = tmp_path / "folder"
        folder.mkdir()

        def remove(*_: object) -> None:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

        with pytest.raises(DownloadError, match="its folder does not exist"):
            await connect().download(big, folder / "file.csv", on_progress=once(remove))

    async def test_what_is_no_id(self, connect: Connect, tmp_path: Path) -> None:
        """A slip is told before anything is touched."""
        with pytest.raises(ValueError, match="cannot be an export id"):
            await connect().download("a/b", tmp_path / "file.csv")
        assert names(tmp_path) == set()

    async def test_a_failed_export(self, sandbox: Sandbox, connect: Connect, tmp_path: Path) -> None:
        """No part is left of what never was."""
        with pytest.raises(ExportFailedError):
            await connect().download(sandbox.add_export("order", outcome="ERROR"), tmp_path / "file.csv")
        assert names(tmp_path) == set()


def once(work: Callable[..., None]) -> Callable[..., None]:
    """Work at the last report of progress only."""

    def report(received: int, total: int | None) -> None:
        if received == total:
            work()

    return report


class TestSideBySide:
    async def test_to_one_path(self, sandbox: Sandbox, connect: Connect, target: Path) -> None:
        """Each is whole, and the last one stays."""
        ids = [sandbox.add_export(kind, rows=3000) for kind in ("customer", "order", "sku")]
        bodies = [await plainly(sandbox, export_id) for export_id in ids]
        client = connect()
        seen: set[bytes] = set()
        downloading = [
            client.download(export_id, target, on_progress=lambda *_: seen.add(target.read_bytes()))
            for export_id in ids
        ]
        await asyncio.gather(*downloading)
        assert target.read_bytes() in bodies
        assert seen <= {b"of before", *bodies}
        assert names(target.parent) == {target.name}

    async def test_the_same_file_to_one_path(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """By two clients at the same time."""
        body = await plainly(sandbox, big)
        await asyncio.gather(connect().download(big, target), connect().download(big, target))
        assert target.read_bytes() == body
        assert names(target.parent) == {target.name}

    async def test_so_many_at_once(self, sandbox: Sandbox, connect: Connect, tmp_path: Path) -> None:
        """No more than `max_connections`, and those that wait come to their turn."""
        ids = [sandbox.add_export("order", rows=10) for _ in range(6)]
        under_way: set[str] = set()
        most = 0

        def note(event: object) -> None:
            nonlocal most
            if isinstance(event, DownloadStarted):
                under_way.add(event.export_id)
                most = max(most, len(under_way))
            elif isinstance(event, DownloadCompleted):
                under_way.discard(event.export_id)

        client = connect(max_connections=2, on_event=note)
        await asyncio.gather(*(client.download(export_id, tmp_path / export_id) for export_id in ids))
        assert most == 2
        assert names(tmp_path) == set(ids)


class TestEnding:
    async def test_cancelling(self, sandbox: Sandbox, connect: Connect, big: str, target: Path) -> None:
        """What came is kept, and the next call goes on with it."""
        body = await plainly(sandbox, big)
        sandbox.fail(download=True, after=200_000, pause=float("inf"))
        task = asyncio.create_task(connect().download(big, target))
        await until(lambda: len(downloads(sandbox)) == 1 and target.with_name("customers.csv.part").exists())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert target.read_bytes() == b"of before"
        await connect().download(big, target)
        assert target.read_bytes() == body

    @pytest.mark.parametrize("step", ["open", "resume", "restart", "write", "finish"])
    async def test_cancelling_at_the_disk(
        self, connect: Connect, big: str, target: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """The thread ends its work before the file is closed under it, however often it is cancelled."""
        entered, go_on = threading.Event(), threading.Event()
        original = getattr(Part, step)
        done: list[str] = []

        def hold(*args: Any) -> Any:
            entered.set()
            go_on.wait()
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
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [step]
        monkeypatch.undo()
        await connect().download(big, target)
        assert names(target.parent) == {target.name}

    async def test_closing_the_client(
        self, sandbox: Sandbox, connect: Connect, big: str, target: Path
    ) -> None:
        """Those under way are told, and those that wait for their turn."""
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

    async def test_a_report_that_raises(self, connect: Connect, big: str, target: Path) -> None:
        """An error of the caller's own comes out as it is."""
        with pytest.raises(ZeroDivisionError):
            await connect().download(big, target, on_progress=lambda received, _: 1 // received)
        assert target.read_bytes() == b"of before"


class TestExportTo:
    """Created, awaited and downloaded in one call."""

    @pytest.fixture
    async def sandbox(self) -> AsyncIterator[Sandbox]:
        """Exports take their time."""
        async with Sandbox(scheduled_for=0.05, in_progress_for=0.05) as sandbox:
            yield sandbox

    @pytest.fixture
    def client(self, connect: Connect) -> ExportsClient:
        """Looks often."""
        return connect(poll=PollPolicy(initial=0.01, max=0.05))

    async def test_all_in_one(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """The file has the fields that were asked for."""
        updates: list[Export] = []
        told: list[tuple[int, int | None]] = []
        path = await client.export_to(
            tmp_path / "vouchers.CSV",
            "voucher",
            fields=["code", "value"],
            on_update=updates.append,
            on_progress=lambda *progress: told.append(progress),
        )
        assert path == tmp_path / "vouchers.CSV"
        lines = path.read_text().splitlines()
        assert lines[0] == "Code,Value"
        assert len(lines) > 10
        assert updates[-1].is_done
        assert told[-1] == (path.stat().st_size, path.stat().st_size)
        assert [request.method for request in sandbox.requests].count("POST") == 1

    @pytest.mark.parametrize("name", ["file.xlsx", "file", ".csv", "file.csv.gz"])
    async def test_another_suffix(
        self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path, name: str
    ) -> None:
        """Nothing is created."""
        with pytest.raises(ValueError, match=r"the path must end in one of \.csv, \.parquet"):
            await client.export_to(tmp_path / name, "voucher")
        assert sandbox.requests == []

    async def test_no_place(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """A place where no file can be is told before anything is created."""
        with pytest.raises(DownloadError, match="its folder does not exist"):
            await client.export_to(tmp_path / "none" / "file.csv", "voucher")
        assert sandbox.requests == []

    async def test_a_slip(self, sandbox: Sandbox, client: ExportsClient, tmp_path: Path) -> None:
        """The check comes before anything is sent."""
        with pytest.raises(ValueError, match="nearest: code"):
            await client.export_to(tmp_path / "file.csv", "voucher", fields=["cod"])
        assert sandbox.requests == []
        assert names(tmp_path) == set()
