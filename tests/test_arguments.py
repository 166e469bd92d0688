"""Arguments of public calls that cannot be right: each is an error at once, and nothing is sent."""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from samples import ID, wire

from voucherify_exports import Export, ExportsClient, PollPolicy, Sandbox

Connect = Callable[..., ExportsClient]
Use = Callable[[Any, Path], Awaitable[object]]

EXPORT = Export.from_dict(wire())

WRONG: list[tuple[Use, type[Exception], str]] = [
    (
        lambda client, path: client.wait_until_done(ID, poll=3),
        TypeError,
        "poll must be a PollPolicy, not int",
    ),
    (
        lambda client, path: client.wait_until_done(ID, poll=0),
        TypeError,
        "poll must be a PollPolicy, not int",
    ),
    (
        lambda client, path: client.wait_until_done(ID, poll=PollPolicy),
        TypeError,
        "poll must be a PollPolicy",
    ),
    (lambda client, path: client.wait_until_done(ID, timeout=True), TypeError, "timeout must be a number"),
    (lambda client, path: anext(client.wait_many([ID], poll=3)), TypeError, "poll must be a PollPolicy"),
    (lambda client, path: anext(client.wait_many([ID], timeout="5")), TypeError, "timeout must be a number"),
    (lambda client, path: anext(client.wait_many(EXPORT)), TypeError, "exports must be .*, not Export"),
    (lambda client, path: anext(client.wait_many(None)), TypeError, "exports must be .*, not NoneType"),
    (lambda client, path: anext(client.wait_many([3])), TypeError, "an export id must be a str, not int"),
    (lambda client, path: client.get_export(path), TypeError, "an export id must be a str, not PosixPath"),
    (lambda client, path: client.download(path, path), TypeError, "an export id must be a str"),
    (lambda client, path: client.delete_export(EXPORT), TypeError, "an export id must be a str, not Export"),
    (lambda client, path: client.list_page(True), ValueError, "page must be from 1 to 100, not True"),
    (lambda client, path: client.list_page(1.0), ValueError, "page must be from 1 to 100, not 1.0"),
    (lambda client, path: client.list_page(math.nan), ValueError, "page must be from 1 to 100, not nan"),
    (lambda client, path: client.list_page(page_size=True), ValueError, "page_size must be .*, not True"),
    (lambda client, path: anext(client.list_exports(page_size=True)), ValueError, "page_size must be"),
    (lambda client, path: client.list_page(order=["status"]), ValueError, "order must be one of"),
    (lambda client, path: client.create_export(3), TypeError, "an exported object must be a str, not int"),
    (lambda client, path: client.create_export("voucher", fields="code"), TypeError, "fields must be a list"),
    (lambda client, path: client.create_export("voucher", fields=3), TypeError, "fields must be .*, not int"),
    (lambda client, path: client.create_export("voucher", fields=[3]), TypeError, "a field must be a str"),
    (
        lambda client, path: client.create_export("voucher", order=3),
        TypeError,
        "order must be a str, not int",
    ),
    (lambda client, path: client.create_export("voucher", campaign_id=3), TypeError, "campaign_id must be a"),
    (
        lambda client, path: client.create_export("voucher", filters=3),
        TypeError,
        "filters must be .*, not int",
    ),
    (lambda client, path: client.create_export("voucher", filters="x"), TypeError, "filters must be .*, not"),
    (lambda client, path: client.export_to(path, "voucher", poll=3), TypeError, "poll must be a PollPolicy"),
    (lambda client, path: client.export_to(path, "voucher", timeout=-1), ValueError, "timeout cannot be -1"),
    (
        lambda client, path: client.rows(EXPORT, names="fild").__anext__(),
        ValueError,
        "names must be 'field' or",
    ),
    (lambda client, path: client.to_arrow(EXPORT, nmes="field"), TypeError, "did you mean 'names'"),
    (lambda client, path: client.to_pandas(EXPORT, names="fild"), ValueError, "names must be 'field' or"),
    (lambda client, path: client.to_polars(EXPORT, json="x"), ValueError, "json must be 'text' or 'parse'"),
    *(
        (partial(use, cells=cells), kind, problem)
        for use in (
            lambda client, path, cells: client.save(EXPORT, path, cells=cells),
            lambda client, path, cells: client.export_to(path, "voucher", cells=cells),
        )
        for cells, kind, problem in (
            ({"nmes": "field"}, TypeError, "unknown option 'nmes'; did you mean 'names'"),
            ({"names": "fild"}, ValueError, "names must be 'field' or 'header', not 'fild'"),
            ({"json": "x"}, ValueError, "json must be 'text' or 'parse', not 'x'"),
            (3, TypeError, "cells must be a dict, not int"),
        )
    ),
]


@pytest.mark.parametrize(("use", "kind", "problem"), WRONG, ids=[problem for _, _, problem in WRONG])
async def test_a_wrong_argument(
    use: Use, kind: type[Exception], problem: str, connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The error names the argument, and nothing is sent, created or written."""
    with pytest.raises(kind, match=problem):
        await use(connect(), tmp_path / "x.parquet")

    assert sandbox.requests == []
    assert list(tmp_path.iterdir()) == []
