"""Compare the conversion to Parquet and rows with pyarrow and csv, in pairs, and measure the memory."""

import argparse
import csv
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from voucherify_exports import tables

ROWS = 2_000_000
FIELDS = ["id", "code", "voucher_type", "value", "created_at", "active", "redemption_quantity", "campaign"]
HEADER = ["ID", "Code", "Voucher Type", "Value", "Creation Date", "Active", "Redemption Limit", "Campaign"]
CAMPAIGNS = ("Back to School, 2025", "Summer Sale", "Winter Sale", "Black Friday")


def rows() -> Iterator[list[str]]:
    """The vouchers of the benchmark: about 105 bytes each, and quotes in every fourth row."""
    draw = random.Random(1)
    for number in range(ROWS):
        yield [
            f"v_{draw.getrandbits(96):024x}",
            f"{draw.getrandbits(40):010X}",
            "GIFT_VOUCHER" if number % 3 else "DISCOUNT_VOUCHER",
            f"{draw.randrange(100, 5000)}.00",
            f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}T09:{number % 60:02}:18.{number % 1000:03}Z",
            "true" if number % 2 else "false",
            str(number % 10),
            CAMPAIGNS[number % 4],
        ]


def by_pyarrow(source: Path, target: Path) -> None:
    """Convert with pyarrow alone, with the same types, one batch at a time."""
    text, code = pa.string(), pa.string()
    types = [text, code, text, pa.decimal128(38, 18), pa.timestamp("us", "UTC"), pa.bool_(), pa.int64(), text]
    batches = pyarrow.csv.open_csv(
        source,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict(zip(HEADER, types, strict=True))),
    )
    with pq.ParquetWriter(target, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def by_tables(source: Path, target: Path) -> None:
    tables.to_parquet(source, target, export="voucher", fields=FIELDS, strict=True)


def by_csv(source: Path) -> None:
    with source.open(newline="", encoding="utf-8") as file:
        for _ in csv.DictReader(file):
            pass


def by_rows(source: Path) -> None:
    for _ in tables.rows(source, export="voucher", fields=FIELDS):
        pass


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, theirs: Callable[[], object], ours: Callable[[], object], pairs: int) -> None:
    measured: list[tuple[float, float]] = []
    for number in range(pairs):
        if number % 2:
            mine, other = seconds(ours), seconds(theirs)
        else:
            other, mine = seconds(theirs), seconds(ours)
        measured.append((other, mine))
    ratio = statistics.median(other / mine for other, mine in measured)
    other, mine = (statistics.median(times) for times in zip(*measured, strict=True))
    print(f"{name:28} {mine:5.2f} s, theirs {other:5.2f} s: {ratio:.2f} x as fast")


def weigh(source: Path, folder: Path, gigabytes: float) -> None:
    """Print the peak memory of `to_parquet` above an idle process, for a file of this size."""
    large = folder / "large.csv"
    with source.open("rb") as file, large.open("wb") as copy:
        copy.write(file.readline())
        body = file.read()
        while copy.tell() < gigabytes * 1e9:
            copy.write(body)
    command = [sys.executable, "-m", "tables.bench", "--weigh", str(large), str(folder / "large.parquet")]
    print(
        f"memory for {large.stat().st_size / 1e9:.1f} GB: {subprocess.check_output(command, text=True)}",
        end="",
    )


def weigh_here(source: Path, target: Path) -> None:
    few = target.with_name("few.csv")
    with source.open("rb") as file, few.open("wb") as copy:
        copy.writelines(islice(file, 100))
    by_tables(few, target)  # imports everything
    idle = most_memory()
    by_tables(source, target)
    print(f"{most_memory() - idle:.0f} MiB above idle")


def most_memory() -> float:
    """The peak memory of this process in MiB; the peak in `resource` includes that of the parent process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1, help="size of the file for the memory")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--weigh", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weigh:
        weigh_here(*options.weigh)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "vouchers.csv", folder / "vouchers.parquet"
        with source.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADER, *rows()])
        print(f"{ROWS:,} rows, {source.stat().st_size / 1e6:.0f} MB")
        compare(
            "to_parquet, pyarrow",
            lambda: by_pyarrow(source, target),
            lambda: by_tables(source, target),
            options.pairs,
        )
        compare("rows, csv.DictReader", lambda: by_csv(source), lambda: by_rows(source), options.pairs)
        weigh(source, folder, options.gigabytes)


if __name__ == "__main__":
    main()
