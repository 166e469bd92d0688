"""Files of exports as rows, Arrow tables, DataFrames, Parquet and JSON Lines.

>>> from voucherify_exports import tables
>>> tables.to_parquet("redemptions.csv", "redemptions.parquet", export="redemption")

`source` is the path of a CSV file, or a binary file that can seek; a file of any size takes little memory,
unless the whole table is asked for. All but `rows` needs the extra `arrow`. The options of each function:

- `export`: the `Export` that the file is of, or the name of its exported object; with a name, `fields` are
  those that were asked for. Without it nothing is known: columns keep their titles, and are text.
- `names`: `"field"` calls the columns as the API does (`voucher_type`), `"header"` as the file ("Voucher
  Type"). `metadata` becomes a column `metadata.<property>` for each property. When the titles do not
  fit the fields that were asked for, all columns keep their titles and are text, with a `ColumnWarning`.
- `strict`: a cell that does not fit the type of its column raises `TableError` with the line, the column
  and the value. Otherwise the whole column becomes text, with a `ColumnWarning` that tells the same.
- `json`: `"text"` leaves cells of JSON as they are, `"parse"` makes structs of them, but where all objects
  are empty.
- `on_progress`: called with the rows that were read, from 0 again when the file is read once more.

Types are those of the catalog. Timestamps are in UTC and in microseconds, integers have 64 bits, decimals
38 digits of which 18 follow the point, and an empty cell is null.

`TableError` says on which line a file is no table: rows of another length, quotes that are missing, text that
is not UTF-8. No row is dropped or merged.
"""

from ._columns import ColumnWarning, Names
from ._convert import (
    CellOptions,
    CSVSource,
    TableOptions,
    check_target,
    convert,
    rows,
    to_arrow,
    to_jsonl,
    to_pandas,
    to_parquet,
    to_polars,
)

__all__ = [
    "CSVSource",
    "CellOptions",
    "ColumnWarning",
    "Names",
    "TableOptions",
    "check_target",
    "convert",
    "rows",
    "to_arrow",
    "to_jsonl",
    "to_pandas",
    "to_parquet",
    "to_polars",
]
