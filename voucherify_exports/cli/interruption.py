"""What the command prints after Ctrl-C: what continues or is kept, and the command that resumes it."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

INTERRUPTED = "Interrupted."
_MOST_IDS_NAMED = 10


def wait_interrupted(pending: Sequence[str], options: Iterable[str]) -> str:
    """The text after an interrupted `wait`; `pending` are the exports that are not finished."""
    if not pending:
        return INTERRUPTED
    command = "run the same command"
    if len(pending) <= _MOST_IDS_NAMED:
        command = _command("wait", *options, *pending)
    count = "1 export continues" if len(pending) == 1 else f"{len(pending):,} exports continue"
    return f"{INTERRUPTED} {count} at Voucherify. To wait again: {command}"


def run_interrupted(export_id: str, path: Path, options: Sequence[str]) -> str:
    """The text after a `run` that was interrupted before the export was finished."""
    commands = _command("wait", *options, export_id), _download(export_id, path, options)
    return f"{INTERRUPTED} {export_id} continues at Voucherify. To resume: {' && '.join(commands)}"


def download_interrupted(export_id: str, path: Path, options: Sequence[str]) -> str:
    """The text after an interrupted download to a path."""
    part = path.with_name(f"{path.name}.part")
    advice = f"The partial file is kept in {part}. To resume" if part.exists() else "To restart the download"
    return f"{INTERRUPTED} {advice}: {_download(export_id, path, options)}"


def _download(export_id: str, path: Path, options: Sequence[str]) -> str:
    return _command("download", *options, export_id, "-o", str(path))


def _command(*words: str) -> str:
    return shlex.join(["voucherify-exports", *words])
