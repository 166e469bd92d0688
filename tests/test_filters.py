import copy
import inspect
import json
import math
import pickle
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voucherify_exports
from voucherify_exports import (
    Condition,
    Filters,
    after,
    any_of,
    before,
    contains,
    filters,
    has_value,
    in_,
    is_,
    is_not,
    is_unknown,
    more_than,
    not_in,
    where,
)
from voucherify_exports.catalog import OPERATORS, check_parameters
from voucherify_exports.filters import filters_to_wire

OCTOBER = datetime(2024, 10, 1, tzinfo=UTC)
FUNCTIONS = {name: getattr(filters, name) for name in filters.__all__ if name[0].islower()}
OPERATOR_FUNCTIONS = {name: make for name, make in FUNCTIONS.items() if name not in {"where", "any_of"}}


class Season(StrEnum):
    SUMMER = "summer"


def some_condition(make: Callable[..., Condition]) -> Condition:
    """A condition of any operator, with an argument where one is needed."""
    if not inspect.signature(make).parameters:
        return make()
    return make(["1"]) if make in {in_, not_in} else make("1")


def operator_of(make: Callable[..., Condition]) -> str:
    (operator,) = some_condition(make).to_dict()["conditions"]
    return str(operator)


class TestPublic:
    def test_every_name_is_in_the_package(self) -> None:
        """Each name of the module can be imported from the package and has a docstring."""
        for name in filters.__all__:
            assert getattr(voucherify_exports, name) is getattr(filters, name)
            assert name in voucherify_exports.__all__
            assert getattr(filters, name).__doc__

    def test_one_function_for_each_operator(self) -> None:
        """Each operator of the catalog has one function."""
        assert sorted(map(operator_of, OPERATOR_FUNCTIONS.values())) == sorted(OPERATORS)

    @pytest.mark.parametrize("name", sorted(OPERATOR_FUNCTIONS))
    def test_functions_are_named_like_their_operators(self, name: str) -> None:
        """Functions have the names of the API, except for keywords and one verb form."""
        operator = operator_of(OPERATOR_FUNCTIONS[name])

        assert operator == "$" + {"not_contains": "not_contain"}.get(name, name.rstrip("_"))
        assert f"`{operator}`" in str(OPERATOR_FUNCTIONS[name].__doc__)


class TestWhere:
    def test_writes_the_published_example(self) -> None:
        """A filter has the form that the API's reference shows."""
        assert where(created_at=after(OCTOBER)).to_dict() == {
            "junction": "and",
            "created_at": {"conditions": {"$after": ["2024-10-01T00:00:00.000Z"]}},
        }

    def test_several_conditions(self) -> None:
        """Fields keep their order, and a field may have several operators."""
        november = datetime(2024, 11, 1, tzinfo=UTC)
        chosen = where(created_at=after(OCTOBER) & before(november), code=contains("SUMMER"))

        assert json.dumps(chosen.to_dict()) == json.dumps(
            {
                "junction": "and",
                "created_at": {
                    "conditions": {
                        "$after": ["2024-10-01T00:00:00.000Z"],
                        "$before": ["2024-11-01T00:00:00.000Z"],
                    }
                },
                "code": {"conditions": {"$contains": ["SUMMER"]}},
            }
        )
        check_parameters("voucher", filters=chosen.to_dict())

    def test_names_that_are_no_identifiers(self) -> None:
        """The mapping holds any name, also one that a parameter has."""
        chosen = where({"metadata.city": is_("Kraków"), "mapping": is_(1)}, code=contains("S"))

        assert list(chosen.to_dict()) == ["junction", "metadata.city", "mapping", "code"]
        assert where(mapping=is_(1)) == where({"mapping": is_(1)})
        assert where(MappingProxyType({"code": is_("A")})) == where(code=is_("A"))

    def test_any_of(self) -> None:
        """`any_of` writes the junction `or`."""
        chosen = any_of({"metadata.city": is_("Kraków")}, code=contains("SUMMER"))

        assert chosen.junction == "or"
        assert chosen.to_dict() == {**where(dict(CITY), code=contains("SUMMER")).to_dict(), "junction": "or"}

    def test_no_conditions(self) -> None:
        """Without conditions only the junction is sent, as in the API's examples."""
        assert where().to_dict() == {"junction": "and"}

    @pytest.mark.parametrize("value", ["SUMMER", None, 1, ["SUMMER"], where(), is_, {"$is": ["SUMMER"]}])
    def test_refuses_what_is_no_condition(self, value: Any) -> None:
        """A bare value is a TypeError that says what to write instead."""
        with pytest.raises(TypeError, match=r"'code' needs a condition such as is_\(…\)"):
            where(code=value)

    @pytest.mark.parametrize("value", [is_("SUMMER"), "code", ["code"], 0])
    def test_refuses_what_is_no_mapping(self, value: Any) -> None:
        """A condition without its field is a TypeError."""
        with pytest.raises(TypeError, match="not a mapping"):
            where(value)

    def test_refuses_a_field_twice(self) -> None:
        """A field in the mapping and among the keywords would lose one condition."""
        with pytest.raises(ValueError, match="'code' is given twice: combine its conditions with &"):
            any_of({"code": is_("A")}, code=is_("B"))

    @pytest.mark.parametrize("value", ["or", is_("or")])
    def test_refuses_a_junction(self, value: Any) -> None:
        """The function chooses the junction."""
        with pytest.raises(ValueError, match=r"any_of\(\) one of them"):
            where(junction=value)

    def test_is_a_value(self) -> None:
        """Filters are compared, hashed, copied and pickled by value."""
        chosen = where(dict(CITY), code=contains("S") & is_not("SUMMER"))

        assert pickle.loads(pickle.dumps(chosen)) == copy.deepcopy(chosen) == chosen
        assert len({chosen, copy.copy(chosen), any_of(code=contains("S"))}) == 2
        with pytest.raises(AttributeError):
            chosen.junction = "or"  # type: ignore[misc]  # that is what is tested

    def test_wire_form_is_the_callers_own(self) -> None:
        """Changing the dictionary does not change the filters."""
        chosen = where(code=in_(["A"]))
        chosen.to_dict()["code"]["conditions"]["$in"].append("B")

        assert chosen.to_dict()["code"] == {"conditions": {"$in": ["A"]}}


CITY = (("metadata.city", is_("Kraków")),)


class TestCondition:
    def test_combines_any_number(self) -> None:
        """`&` keeps the order of the conditions and is associative."""
        a, b, c = contains("a"), is_not("b"), has_value()

        assert (a & b) & c == a & (b & c)
        assert list((a & b & c).to_dict()["conditions"]) == ["$contains", "$is_not", "$has_value"]

    def test_refuses_an_operator_twice(self) -> None:
        """The JSON object of the API has each operator once."""
        with pytest.raises(ValueError, match=r"\$is_not is given twice"):
            _ = is_not("a") & contains("c") & is_not("b")

    @pytest.mark.parametrize("other", [1, "a", None, where(), {"$is": ["a"]}])
    def test_combines_conditions_only(self, other: Any) -> None:
        """`&` with anything but a condition is a TypeError."""
        with pytest.raises(TypeError, match="unsupported operand"):
            _ = is_("a") & other

    def test_has_no_truth(self) -> None:
        """`and` between conditions would silently drop the first."""
        with pytest.raises(TypeError, match="with &"):
            _ = after(OCTOBER) and before(OCTOBER)

    @pytest.mark.parametrize("make", [has_value, is_unknown])
    def test_without_a_value(self, make: Callable[[], Condition]) -> None:
        """Two operators have no values: the API takes a bare `true`."""
        assert list(make().to_dict()["conditions"].values()) == [True]

    @pytest.mark.parametrize("make", OPERATOR_FUNCTIONS.values(), ids=list(OPERATOR_FUNCTIONS))
    def test_every_other_operator_has_a_list(self, make: Callable[..., Condition]) -> None:
        """In the API's schema each other operator has a list of values."""
        if make not in {has_value, is_unknown}:
            assert some_condition(make).to_dict() == {"conditions": {operator_of(make): ["1"]}}


class TestValues:
    @pytest.mark.parametrize(
        ("value", "wire"),
        [
            ("Kraków", "Kraków"),
            ("", ""),
            (Season.SUMMER, "summer"),
            (True, True),
            (0, 0),
            (-7, -7),
            (10**30, 10**30),
            (2.5, 2.5),
            (date(2024, 10, 1), "2024-10-01"),
            (datetime(2024, 10, 1, tzinfo=UTC), "2024-10-01T00:00:00.000Z"),
            (datetime(2024, 10, 1, 2, 3, 4, 999999, UTC), "2024-10-01T02:03:04.999Z"),
            (datetime(2024, 10, 1, tzinfo=timezone(timedelta(hours=2))), "2024-09-30T22:00:00.000Z"),
            (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        ],
    )
    def test_as_the_api_writes_them(self, value: Any, wire: object) -> None:
        """Times are in UTC with milliseconds and Z, dates in ISO 8601; other values stay as they are."""
        (written,) = is_(value).to_dict()["conditions"]["$is"]

        assert written == wire
        assert json.loads(json.dumps(written)) == wire
        assert type(json.loads(json.dumps(written))) is type(json.loads(json.dumps(wire)))
        assert in_([value]).to_dict()["conditions"]["$in"] == [wire]

    @pytest.mark.parametrize("make", [after, before, is_, is_not])
    def test_naive_times_are_refused(self, make: Callable[[datetime], Condition]) -> None:
        """A time without a zone is ambiguous."""
        with pytest.raises(ValueError, match="2024-10-01 00:00:00 has no time zone: add one"):
            make(datetime(2024, 10, 1))  # noqa: DTZ001 - that is what is tested

    @pytest.mark.parametrize(
        "moment",
        [
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        ],
    )
    def test_times_beyond_the_calendar(self, moment: datetime) -> None:
        """A time outside the years of UTC is a ValueError."""
        with pytest.raises(ValueError, match="outside the years 1 to 9999 in UTC"):
            after(moment)

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_numbers_are_finite(self, number: float) -> None:
        """JSON has no infinity and no NaN."""
        with pytest.raises(ValueError, match=f"finite numbers, not {number}"):
            more_than(number)

    @pytest.mark.parametrize(
        "value", [None, b"a", Decimal(1), 1j, [1], {"a": 1}, timedelta(1), object(), is_("a"), where()]
    )
    def test_anything_else_is_refused(self, value: Any) -> None:
        """The TypeError names the types that are accepted and the one that was given."""
        with pytest.raises(TypeError, match=rf"takes str, bool, .*, not {type(value).__name__}$"):
            is_(value)
        with pytest.raises(TypeError, match="a filter takes"):
            not_in(["a", value])

    @pytest.mark.parametrize("values", [["a", "b"], ("a", "b"), {"a": 1, "b": 2}, iter(["a", "b"])])
    def test_lists_of_any_kind(self, values: Iterable[str]) -> None:
        """Any iterable of values becomes a list."""
        assert in_(values).to_dict() == {"conditions": {"$in": ["a", "b"]}}

    @pytest.mark.parametrize("values", ["SUMMER", b"SUMMER"])
    def test_a_string_is_no_list(self, values: Any) -> None:
        """A string would be read as a list of its letters."""
        with pytest.raises(TypeError, match=r"\$not_in takes a list of values: write \[b?'SUMMER'\]"):
            not_in(values)

    def test_no_value_at_all(self) -> None:
        """It is open whether an empty list would match nothing or everything."""
        with pytest.raises(ValueError, match=r"\$in needs at least one value"):
            in_([])

    @given(st.datetimes(min_value=datetime(2, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - as hypothesis wants it
    def test_round_trip_of_a_time(self, moment: datetime) -> None:
        """The text is the same time, cut to milliseconds, for all zones."""
        (text,) = after(moment).to_dict()["conditions"]["$after"]

        assert text[-5::4] == ".Z"
        assert timedelta(0) <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)


class TestFiltersToWire:
    def test_filters(self) -> None:
        """`Filters` are converted to the API's JSON form."""
        assert filters_to_wire(where(code=is_("A"))) == where(code=is_("A")).to_dict()

    def test_a_dictionary_is_copied(self) -> None:
        """A dictionary is copied without changes, also what is unknown in it."""
        given = {
            "junction": "OR",
            "code": {"conditions": {"$is": ["A", 1, 2.5, True, None, {"a": []}], "$today": True}},
            "tomorrow": {"shape": "unknown"},
        }

        wire = filters_to_wire(given)

        assert wire == given
        wire["code"]["conditions"]["$is"].append("B")
        assert given["code"] == {"conditions": {"$is": ["A", 1, 2.5, True, None, {"a": []}], "$today": True}}

    def test_times_and_tuples_inside(self) -> None:
        """Values are converted as by the functions, at any depth."""
        given = MappingProxyType({"created_at": {"conditions": {"$after": (OCTOBER, date(2024, 10, 1))}}})

        assert filters_to_wire(given) == {
            "created_at": {"conditions": {"$after": ["2024-10-01T00:00:00.000Z", "2024-10-01"]}}
        }

    @pytest.mark.parametrize(
        ("value", "error"),
        [
            (datetime(2024, 10, 1), ValueError),  # noqa: DTZ001 - that is what is tested
            (math.nan, ValueError),
            (Decimal(1), TypeError),
            ({"a"}, TypeError),
            (is_("A"), TypeError),
        ],
    )
    def test_refuses_what_no_json_holds(self, value: object, error: type[Exception]) -> None:
        """Values that JSON cannot hold raise an error before anything is sent."""
        with pytest.raises(error):
            filters_to_wire({"code": {"conditions": {"$is": [value]}}})

    @pytest.mark.parametrize("value", [is_("SUMMER"), "code", ["code"], None])
    def test_refuses_what_is_no_mapping(self, value: Any) -> None:
        """A condition without its field and a list are not filters."""
        with pytest.raises(TypeError, match=r"filters must be those of where.*, or a dict, not"):
            filters_to_wire(value)

    @given(
        st.dictionaries(
            st.text(),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats(allow_nan=False, allow_infinity=False)
                | st.text(),
                lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
                max_leaves=8,
            ),
        )
    )
    def test_any_json_goes_through(self, wire: dict[str, object]) -> None:
        """Any JSON object is returned unchanged."""
        assert filters_to_wire(wire) == wire

    @given(
        st.sampled_from([where, any_of]),
        st.dictionaries(
            st.text().filter(lambda name: name != "junction"),
            st.sampled_from(list(OPERATOR_FUNCTIONS.values())),
        ),
    )
    def test_filters_are_json_for_every_operator(
        self, choose: Callable[..., Filters], operators: dict[str, Callable[..., Condition]]
    ) -> None:
        """Each field has its operator, and the JSON form survives a round trip."""
        wire = choose({name: some_condition(make) for name, make in operators.items()}).to_dict()

        assert json.loads(json.dumps(wire)) == wire == filters_to_wire(wire)
        assert {name: [*wire[name]["conditions"]] for name in wire if name != "junction"} == {
            name: [operator_of(make)] for name, make in operators.items()
        }
