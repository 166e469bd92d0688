"""`download` and `run`: files, and what an interruption leaves."""

import asyncio
import json
import math
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow.parquet
import pytest
from cli_process import Invoke, environment, finish, start, terminal

from voucherify_exports import Sandbox


@pytest.fixture
async def slow() -> AsyncIterator[Sandbox]:
    """A sandbox whose exports stay IN_PROGRESS."""
    async with Sandbox(scheduled_for=0, in_progress_for=3600) as sandbox:
        yield sandbox


def done(sandbox: Sandbox, *, rows: int = 100) -> str:
    """The id of a finished export."""
    export_id = sandbox.add_export("order", rows=rows)
    sandbox.finish(export_id)
    return export_id


class TestDownload:
    async def test_a_file(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The CSV is saved unchanged, and its size is printed on stderr."""
        finished = await invoke("download", done(sandbox), "-o", "orders.csv")

        assert (finished.exit_code, finished.stdout) == (0, "")
        assert len(Path("orders.csv").read_text().splitlines()) == 101
        assert finished.stderr.startswith("orders.csv: ")
        assert [str(each) for each in Path().iterdir()] == ["orders.csv"]

    async def test_a_table(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The suffix selects the format, `--names` the column names."""
        export_id = done(sandbox)
        assert (await invoke("download", export_id, "-o", "orders.jsonl")).exit_code == 0
        assert (await invoke("download", export_id, "-o", "titles.jsonl", "--names", "header")).exit_code == 0

        orders, titles = (
            json.loads(Path(f"{name}.jsonl").read_text().splitlines()[0]) for name in ("orders", "titles")
        )
        assert list(orders.values()) == list(titles.values())
        assert "source_id" in orders
        assert "source_id" not in titles

    async def test_to_stdout(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """With -, the bytes go to stdout, and nothing else is printed."""
        export_id = done(sandbox)
        await invoke("download", export_id, "-o", "orders.csv")
        finished = await invoke("download", export_id, "-o", "-")

        assert finished.stdout_bytes == Path("orders.csv").read_bytes()
        assert (finished.exit_code, finished.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("export_id", "path", "code"),
        [
            ("exp_nope", "x.csv", 4),
            ("exp_1", "x.xlsx", 2),
            ("exp_1", "nowhere/x.csv", 8),
            ("a/b", "x.csv", 2),
        ],
    )
    async def test_wrong_arguments(
        self, invoke: Invoke, sandbox: Sandbox, export_id: str, path: str, code: int
    ) -> None:
        """Each has its exit code, and leaves no file."""
        finished = await invoke("download", export_id, "-o", path)

        assert finished.exit_code == code
        assert not list(Path().iterdir())

    async def test_interrupted(self, sandbox: Sandbox, tmp_path: Path) -> None:
        """Ctrl-C keeps the partial file and prints the command that resumes the download."""
        export_id = done(sandbox, rows=60_000)
        sandbox.fail(download=True, pause=0.2)
        path = tmp_path / "orders.csv"
        async with terminal("download", export_id, "-o", str(path), env=environment(sandbox)) as screen:
            await screen.shows(re.compile(r" [1-9]\d?% "))  # is on disk
            screen.press(b"\x03")
            assert await screen.finish() == 130

        assert (
            f"Interrupted. The partial file is kept in {path}.part. To resume:"
            f" voucherify-exports download {export_id} -o {path}\n"
        ) in screen.text
        assert not path.exists()
        again = await finish(await start("download", export_id, "-o", str(path), env=environment(sandbox)))
        assert again.code == 0
        assert len(path.read_text().splitlines()) == 60_001


async def partial_file(folder: Path) -> None:
    """Wait until there is a partial file."""
    async with asyncio.timeout(20):
        while not any(each.suffix == ".part" for each in folder.rglob("*")):
            await asyncio.sleep(0.01)


class TestRun:
    async def test_to_parquet(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """The statuses are printed on stderr, and the file is a table with types."""
        finished = await invoke(
            *("run", "redemption", "-o", "redemptions.parquet", "--field", "id", "--field", "order_amount"),
            *("--where", "created_at after 2020-01-01"),
        )

        assert (finished.exit_code, finished.stdout) == (0, "")
        *statuses, last = finished.stderr.splitlines()
        assert statuses[-1].endswith("redemption: DONE")
        assert last.startswith("redemptions.parquet: ")
        table = pyarrow.parquet.read_table("redemptions.parquet")
        assert table.schema.names == ["id", "order_amount"]

    async def test_quiet(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """With `--quiet`, nothing is printed."""
        finished = await invoke("run", "order", "-o", "orders.csv", "--quiet")

        assert (finished.exit_code, finished.output) == (0, "")

    @pytest.mark.parametrize(("path", "code"), [("x.xlsx", 2), ("nowhere/x.csv", 8), (".", 2)])
    async def test_an_invalid_path(self, invoke: Invoke, sandbox: Sandbox, path: str, code: int) -> None:
        """It is reported before an export is created."""
        finished = await invoke("run", "order", "-o", path)

        assert finished.exit_code == code
        assert "[Errno" not in finished.stderr
        assert not sandbox.requests

    async def test_an_invalid_cell(self, invoke: Invoke, sandbox: Sandbox) -> None:
        """`--strict` makes a cell of the wrong type an error."""
        sandbox.fail(download=True, body="ID,Amount\nord_1,much\n", content_type="text/csv")
        args = ["run", "order", "-o", "orders.parquet", "--field", "id", "--field", "amount", "--strict"]
        finished = await invoke(*args)

        assert finished.exit_code == 8
        assert "Line 2, column 'Amount': cannot read 'much' as " in finished.stderr
        assert not list(Path().iterdir())

    async def test_an_invalid_cell_without_strict(self, sandbox: Sandbox, tmp_path: Path) -> None:
        """Without `--strict` it is one line on stderr, even where warnings are errors."""
        sandbox.fail(download=True, body="ID,Amount\nord_1,much\n", content_type="text/csv")
        args = ["run", "order", "-o", str(tmp_path / "o.parquet"), "--field", "id", "--field", "amount"]
        finished = await finish(await start(*args, env=environment(sandbox)))

        *_, warning, last = finished.err.decode().splitlines()
        assert finished.code == 0
        assert warning.startswith("Line 2, column 'Amount': cannot read 'much' as ")
        assert last.startswith(f"{tmp_path}/o.parquet: ")
        assert pyarrow.parquet.read_table(tmp_path / "o.parquet")["amount"].to_pylist() == ["much"]

    async def test_interrupted_while_it_waits(self, slow: Sandbox, tmp_path: Path) -> None:
        """The export continues, and the commands that resume are printed."""
        path = tmp_path / "orders.csv"
        process = await start("run", "order", "-o", str(path), env=environment(slow))
        assert process.stderr is not None
        async with asyncio.timeout(20):
            line = await process.stderr.readline()
        export_id = line.decode().split()[0]
        process.send_signal(signal.SIGINT)
        finished = await finish(process)

        assert finished.code == 130
        assert finished.err.decode().splitlines()[-1] == (
            f"Interrupted. {export_id} continues at Voucherify. To resume: voucherify-exports wait"
            f" {export_id} && voucherify-exports download {export_id} -o {path}"
        )

    async def test_interrupted_before_an_export_exists(self, slow: Sandbox, tmp_path: Path) -> None:
        """There is nothing to resume."""
        slow.fail(delay=math.inf)
        process = await start("run", "order", "-o", str(tmp_path / "x.csv"), env=environment(slow))
        async with asyncio.timeout(20):
            while not slow.requests:
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)

        assert (await finish(process)).err == b"Interrupted.\n"

    async def test_interrupted_while_it_saves_a_table(self, sandbox: Sandbox, tmp_path: Path) -> None:
        """The download of a table restarts from the beginning, and no file is left."""
        sandbox.fail(download=True, after=1000, pause=math.inf)
        path = tmp_path / "orders.jsonl"
        process = await start("run", "order", "-o", str(path), env=environment(sandbox))
        await partial_file(tmp_path)
        process.send_signal(signal.SIGINT)
        finished = await finish(process)

        assert finished.code == 130
        assert (
            "Interrupted. To restart the download: voucherify-exports download exp_" in finished.err.decode()
        )
        assert list(tmp_path.iterdir()) == []

    async def test_on_a_terminal(self, sandbox: Sandbox, tmp_path: Path) -> None:
        """There is a live table during the wait, then a progress bar."""
        path = tmp_path / "orders.csv"
        async with terminal("run", "order", "-o", str(path), env=environment(sandbox)) as screen:
            code = await screen.finish()

        assert code == 0
        assert "1 of 1 finished" in screen.text
        assert "100%" in screen.text
        assert f"{path.name}: " in screen.text
