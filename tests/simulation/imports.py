"""Print the CPU time of importing the package, compared in pairs with importing its dependencies."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile

NOTHING = "pass"
DEPENDENCIES = "import aiohttp, attrs, cattrs, tenacity"
PACKAGE = "import voucherify_exports"


def cpu_time(code: str, bytecode: str) -> float:
    """Seconds that a new interpreter takes to run the code.

    `bytecode` is the folder for compiled modules, so that nothing is compiled again: pip compiles what it
    installs.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(pairs: int = 60) -> None:
    with tempfile.TemporaryDirectory() as bytecode:
        codes = [DEPENDENCIES, PACKAGE]
        for code in codes:  # compiles all modules
            cpu_time(code, bytecode)
        start = statistics.median(cpu_time(NOTHING, bytecode) for _ in range(pairs))
        ratios, milliseconds = [], []
        for _ in range(pairs):
            cpu_times = {code: cpu_time(code, bytecode) - start for code in codes}
            ratios.append(cpu_times[PACKAGE] / cpu_times[DEPENDENCIES])
            milliseconds.append(1000 * (cpu_times[PACKAGE] - cpu_times[DEPENDENCIES]))
            codes.reverse()  # so that neither is always measured first
    lower, median, upper = statistics.quantiles(ratios, n=4)
    print(
        f"import: {median:.3f} x the CPU time of importing the dependencies"
        f" (of {pairs} pairs, half are from {lower:.3f} to {upper:.3f});"
        f" {statistics.median(milliseconds):.0f} ms more"
    )


if __name__ == "__main__":
    main()
