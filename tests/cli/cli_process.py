"""The real command in a process of its own: in pipes, or on a pseudo-terminal."""

import asyncio
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import IO

from attrs import define, field
from typer.testing import Result

from voucherify_exports import Sandbox

Invoke = Callable[..., Awaitable[Result]]
"""How a test runs a command in its own process."""

COMMAND = [sys.executable, "-W", "error", "-m", "voucherify_exports"]

FORCING = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "COLORTERM": "truecolor"}
"""The variables that make many programs treat a pipe as a terminal."""

# As a shell does: the terminal becomes the controlling one, so that its Ctrl-C interrupts the process.
ON_A_TERMINAL = """
import fcntl, os, runpy, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
runpy.run_module("voucherify_exports", run_name="__main__", alter_sys=True)
"""


def environment(sandbox: Sandbox | None = None, **changes: str) -> dict[str, str]:
    """The environment of the tests, with the address and credentials of a sandbox if there is one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VOUCHERIFY_")}
    own |= {"COLUMNS": "80", "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "PYTHONUNBUFFERED", *FORCING):
        own.pop(name, None)
    if sandbox is not None:
        own["VOUCHERIFY_APP_ID"] = sandbox.app_id
        own["VOUCHERIFY_APP_TOKEN"] = sandbox.app_token
        own["VOUCHERIFY_BASE_URL"] = sandbox.url
    return own | changes


@define
class Finished:
    """The result of a process: its exit code, and the bytes of stdout and stderr."""

    code: int
    out: bytes
    err: bytes


async def start(
    *args: str, env: Mapping[str, str], stdout: int | IO[bytes] = -1, stderr: int | IO[bytes] = -1
) -> asyncio.subprocess.Process:
    """Start the command, in pipes by default."""
    return await asyncio.create_subprocess_exec(
        *COMMAND, *args, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr
    )


async def finish(process: asyncio.subprocess.Process) -> Finished:
    """Wait for the end of the command, and collect its output."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return Finished(process.returncode, out or b"", err or b"")


async def run(*args: str, env: Mapping[str, str]) -> Finished:
    """Run the command in pipes."""
    return await finish(await start(*args, env=env))


@define
class Terminal:
    """A terminal of 80 by 24 characters, and the command that runs on it."""

    process: asyncio.subprocess.Process
    _keyboard: int
    written: bytes = b""
    _more: asyncio.Event = field(factory=asyncio.Event)
    _closed: bool = False

    @property
    def text(self) -> str:
        """The output, without control codes and trailing spaces."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]| *\r", "", self.written.decode(errors="replace"))

    def press(self, keys: bytes) -> None:
        """Type on the terminal."""
        os.write(self._keyboard, keys)

    async def shows(self, text: str | re.Pattern[str]) -> None:
        """Wait until the output contains a text, or a match of a pattern."""
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        while not pattern.search(self.text):
            assert not self._closed, f"{text!r} is not in:\n{self.text}"
            self._more.clear()
            await self._more.wait()

    async def finish(self) -> int:
        """Wait for the end of the command and of its output; returns the exit code."""
        code = await self.process.wait()
        while not self._closed:
            self._more.clear()
            await self._more.wait()
        return code

    async def interrupt(self) -> int:
        """Press Ctrl-C until the command ends: Python misses one that arrives just before it reads a line."""
        while True:
            self.press(b"\x03")
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    return await self.finish()

    def receive(self) -> None:
        """Read output; Linux raises an error once the other end is closed."""
        try:
            chunk = os.read(self._keyboard, 65536)
        except OSError:
            chunk = b""
        self.written += chunk
        self._closed = not chunk
        if self._closed:
            asyncio.get_running_loop().remove_reader(self._keyboard)
        self._more.set()


@asynccontextmanager
async def terminal(
    *args: str,
    env: Mapping[str, str],
    stdout: int | None = None,
    lines: int = 24,
    cwd: str | os.PathLike[str] | None = None,
) -> AsyncGenerator[Terminal]:
    """Run the command on a terminal of 80 columns; `stdout` redirects its stdout."""
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
    command = [sys.executable, "-W", "error", "-c", ON_A_TERMINAL, *args]
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=cwd, stdin=screen, stdout=screen if stdout is None else stdout, stderr=screen
    )
    os.close(screen)
    running = Terminal(process, keyboard)
    loop = asyncio.get_running_loop()
    loop.add_reader(keyboard, running.receive)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(keyboard)
        os.close(keyboard)


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True

    async def shows(self, text: str) -> None:
        """Wait until the stream contains a text."""
        async with asyncio.timeout(10):
            while text not in self.getvalue():
                await asyncio.sleep(0.005)
