"""Filters as they are typed."""

import pytest
import typer

from voucherify_exports.cli.conditions import filters_of

RIGHT = [
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

WRONG = [
    ("code", "the second word must be one of"),
    ("code like X", "the second word must be one of not_contains, in, not_in"),
    ("code contains", "contains takes a value"),
    ("code has_value yes", "has_value takes no value"),
    ("active is yes", "'yes' is neither true nor false"),
    ("value more_than much", "'much' is no number"),
]


class TestFilters:
    @pytest.mark.parametrize(("text", "meant"), RIGHT)
    def test_of_a_condition(self, text: str, meant: dict[str, object]) -> None:
        """A field, an operator and the rest: numbers and truths as the field or the operator has them."""
        filters = filters_of([text], "voucher", is_any=False)

        assert filters is not None
        assert filters.to_dict() == {"junction": "and", **meant}

    def test_of_several(self) -> None:
        """Conditions of one field are both demanded; one of all is enough with `--any`."""
        filters = filters_of(
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
        assert filters_of([], "voucher", is_any=False) is None

    def test_of_an_object_that_is_not_known(self) -> None:
        """Then all values are text; the catalog complains later."""
        filters = filters_of(["amount is 5"], "nothing", is_any=False)

        assert filters is not None
        assert filters.to_dict()["amount"] == {"conditions": {"$is": ["5"]}}

    @pytest.mark.parametrize(("text", "problem"), WRONG)
    def test_what_means_nothing(self, text: str, problem: str) -> None:
        """It is told with the condition and the reason."""
        with pytest.raises(typer.BadParameter, match=problem) as refused:
            filters_of([text], "voucher", is_any=False)
        assert repr(text) in str(refused.value)

    def test_the_same_twice(self) -> None:
        """One field cannot have one operator twice."""
        with pytest.raises(typer.BadParameter, match="'code is B'"):
            filters_of(["code is A", "code is B"], "voucher", is_any=False)
