"""Start, kill and stop the processes of a local Airflow."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

AIRFLOW = str(Path(sys.executable).with_name("airflow"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Processes:
    """API server, DAG processor, scheduler with its workers, and triggerer, with SQLite in a folder."""

    def __init__(self, home: Path, dags: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        # Without these variables coverage does not measure the processes, which would slow them down.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        self._environment = inherited | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-alone-" * 4,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            # How soon Airflow notices that one of its processes has ended: the worker of a task, a triggerer.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
            **environment,
        }
        # Imports the package once, in the process from which the workers of all tasks are forked.
        (home / "config").mkdir(parents=True)
        (home / "config" / "airflow_local_settings.py").write_text("import voucherify_exports.airflow\n")

    def __enter__(self) -> Self:
        subprocess.run(
            [AIRFLOW, "db", "migrate"],
            env=self._environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
        with closing(sqlite3.connect(self._home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")  # so that readers do not block writers
        try:
            self.start("api-server")
            self.start("dag-processor")
            self._wait_for_api()
            self.start("scheduler")
            self.start("triggerer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._running:
            self._signal(name, signal.SIGTERM)
        deadline = time.monotonic() + 10
        for name, process in self._running.items():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
            self._signal(name, signal.SIGKILL)
            process.wait()

    def start(self, name: str) -> None:
        """Start one of Airflow's commands, with its output in a file."""
        with (self._home / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [AIRFLOW, name],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill a process and its children with SIGKILL."""
        self._signal(name, signal.SIGKILL)
        self._running.pop(name).wait()

    def wait_until(self, **states: int) -> None:
        """Wait until the task instances are in these states, with these counts; fail if a task fails."""
        while (now := self._states()) != states:
            assert not now["failed"]
            time.sleep(1)

    def _states(self) -> Counter[str]:
        with closing(sqlite3.connect(f"file:{self._home}/airflow.db?mode=ro", uri=True)) as database:
            return Counter(dict(database.execute("SELECT state, count(*) FROM task_instance GROUP BY state")))

    def _signal(self, name: str, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._running[name].pid, number)

    def _wait_for_api(self) -> None:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self._url}/api/v2/version", timeout=5):
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
