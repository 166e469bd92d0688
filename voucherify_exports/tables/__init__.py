"""Tables from the CSV files of exports: rows, Arrow, pandas, Polars, Parquet and JSON Lines.

>>> from voucherify_exports import tables
>>> tables.to_parquet("redemptions.csv", "redemptions.parquet", export="redemption")

Each function reads a `CSVSource`. The memory that it needs does not grow with the file, unless it returns
the whole table. Every function but `rows` and `check_target` needs the extra `arrow`. The options are:

- `export`: the `Export` of the file, or the name of its exported object. With a name, `fields` are the fields
  that were requested. Without `export`, the columns keep their titles and are text.
- `names`: `"field"` names the columns by the fields of the API (`voucher_type`), `"header"` by the titles in
  the file ("Voucher Type"). `metadata` becomes one column `metadata.<property>` for each property. If the
  titles do not match the requested fields, all columns keep their titles and are text, with a
  `ColumnWarning`.
- `strict`: a cell that does not fit the type of its column raises `TableError` with the line, the column and
  the value. By default the whole column becomes text, with a `ColumnWarning` that names the same cell.
- `json`: `"text"` keeps JSON cells as text. `"parse"` converts them to structs; a column stays text if an
  object in it is always empty.
- `on_progress`: called with the number of rows read so far, from 0 again if the file is read again.

The types are those of the catalog. Timestamps are in UTC with microseconds, integers have 64 bits, decimals
have 38 digits of which 18 follow the point, and an empty cell is null.

`TableError` names the line if the file is not a valid CSV file: a row of another length than the header, a
missing quote, or text that is not UTF-8. No row is dropped or merged.
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
