"""Conditions of `--where`."""

import pytest
import typer

from voucherify_exports.cli.conditions import parse_filters

VALID = [
    ("code contains SUMMER 2026", {"code": {"conditions": {"$contains": ["SUMMER 2026"]}}}),
    ("created_at after 2026-01-01", {"created_at": {"conditions": {"$after": ["2026-01-01"]}}}),
    ("code in A, B,C", {"code": {"conditions": {"$in": ["A", "B", "C"]}}}),
    ("code not_contains X", {"code": {"conditions": {"$not_contain": ["X"]}}}),
    ("code $not_contain X", {"code": {"conditions": {"$not_contain": ["X"]}}}),
    ("active is true", {"active": {"conditions": {"$is": [True]}}}),
    ("active is false", {"active": {"conditions": {"$is": [False]}}}),
    ("redemption_quantity is 5", {"redemption_quantity": {"conditions": {"$is": [5]}}}),
    ("value more_than 2.5", {"value": {"conditions": {"$more_than": [2.5]}}}),
    ("created_at less_than_ago 30", {"created_at": {"conditions": {"$less_than_ago": [30]}}}),
    ("code is 007", {"code": {"conditions": {"$is": ["007"]}}}),
    ("metadata.city is 007", {"metadata.city": {"conditions": {"$is": ["007"]}}}),
    ("holder_id is_unknown", {"holder_id": {"conditions": {"$is_unknown": True}}}),
    ("holder_id has_value", {"holder_id": {"conditions": {"$has_value": True}}}),
]

INVALID = [
    ("code", "the second word must be one of"),
    ("code like X", "the second word must be one of not_contains, in, not_in"),
    ("code contains", "contains takes a value"),
    ("code has_value yes", "has_value takes no value"),
    ("active is yes", "'yes' is neither true nor false"),
    ("value more_than much", "'much' is not a number"),
]


class TestFilters:
    @pytest.mark.parametrize(("text", "expected"), VALID)
    def test_of_a_condition(self, text: str, expected: dict[str, object]) -> None:
        """A field, an operator and a value, whose type is that of the field or of the operator."""
        filters = parse_filters([text], "voucher", is_any=False)

        assert filters is not None
        assert filters.to_dict() == {"junction": "and", **expected}

    def test_of_several(self) -> None:
        """Conditions on one field are combined; with `--any`, one condition is enough."""
        filters = parse_filters(
            ["created_at after 2026-01-01", "created_at before 2026-02-01", "code is A"],
            "voucher",
            is_any=True,
        )

        assert filters is not None
        assert filters.to_dict() == {
            "junction": "or",
            "created_at": {"conditions": {"$after": ["2026-01-01"], "$before": ["2026-02-01"]}},
            "code": {"conditions": {"$is": ["A"]}},
        }

    def test_of_none(self) -> None:
        """Without conditions there are no filters."""
        assert parse_filters([], "voucher", is_any=False) is None

    def test_of_an_unknown_object(self) -> None:
        """All values are text; `create_export` reports the object later."""
        filters = parse_filters(["amount is 5"], "nothing", is_any=False)

        assert filters is not None
        assert filters.to_dict()["amount"] == {"conditions": {"$is": ["5"]}}

    @pytest.mark.parametrize(("text", "problem"), INVALID)
    def test_an_invalid_condition(self, text: str, problem: str) -> None:
        """The error has the condition and the reason."""
        with pytest.raises(typer.BadParameter, match=problem) as raised:
            parse_filters([text], "voucher", is_any=False)
        assert repr(text) in str(raised.value)

    def test_the_same_twice(self) -> None:
        """The same operator twice for one field is an error."""
        with pytest.raises(typer.BadParameter, match="'code is B'"):
            parse_filters(["code is A", "code is B"], "voucher", is_any=False)
