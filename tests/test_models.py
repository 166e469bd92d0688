import copy
import logging
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from samples import ID, RESULT_URL, running, wire

from voucherify_exports import (
    Export,
    ExportedObject,
    ExportPage,
    ExportParameters,
    ExportResult,
    ExportStatus,
    RateLimit,
)
from voucherify_exports.models import _problems_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PARAMETERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("order", "fields", "filters", "campaign_id", "extra"), JSON)
)
RESULTS = st.fixed_dictionaries({}, optional=dict.fromkeys(("url", "extra"), JSON))
VALUES = JSON | PARAMETERS | RESULTS | st.just(...)
CHANGES = st.dictionaries(st.sampled_from(sorted(wire())), VALUES, max_size=3)


class TestExport:
    def test_parses_the_reference_example(self) -> None:
        """Each property of the documented example is converted to its attribute."""
        export = Export.from_dict(wire())

        assert export == Export(
            id=ID,
            object="export",
            created_at=datetime(2022, 1, 13, 9, 3, 18, 293000, UTC),
            status=ExportStatus.DONE,
            channel="API",
            exported_object=ExportedObject.CUSTOMER,
            parameters=ExportParameters(
                order="",
                fields=("name", "id", "email", "source_id", "created_at"),
                filters={"junction": "and"},
                extra={"response_format": "CSV"},
            ),
            result=ExportResult(RESULT_URL),
            user_id=None,
        )
        assert export.result_url == RESULT_URL

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"parameters": ...},
            {"parameters": {}},
            {"channel": ...},
            {"created_at": "2017-02-24T13:10:50Z"},
            {"created_at": "2017-02-24T13:10:50.000Z"},
            {"created_at": "2017-02-24T15:10:50.123456+02:00"},
            {"status": "PAUSED"},
            {"exported_object": "wallet"},
            {"progress": 0.5, "links": {"self": "x"}},
            {"extra": 1, "_created_at_text": 2},
            {"result": {"url": RESULT_URL, "expires_at": 1}},
            {"parameters": {"order": "", "filter": {"junction": "and"}, "campaign_id": "camp_1"}},
            {"user_id": "user_1", "channel": "WEBSITE"},
            {"status": "SCHEDULED", "result": None},
        ],
    )
    def test_to_dict_returns_the_wire_form(self, changes: dict[str, object]) -> None:
        """A round trip loses and changes nothing that the API sent, unknown properties included."""
        body = wire(**changes)

        export = Export.from_dict(body)

        assert export.to_dict() == body
        assert Export.from_dict(export.to_dict()) == export

    def test_to_dict_returns_a_copy(self) -> None:
        """Changing the dictionary does not change the export."""
        export = Export.from_dict(wire())
        export.to_dict()["parameters"]["filters"]["junction"] = "or"

        assert export.to_dict()["parameters"]["filters"] == {"junction": "and"}

    def test_an_evolved_created_at_is_written(self) -> None:
        """After `evolve`, `to_dict` writes the new `created_at`, and not the text of the old one."""
        export = Export.from_dict(wire(created_at="2017-02-24T13:10:50Z"))

        changed = evolve(export, created_at=datetime(2020, 1, 1, tzinfo=UTC))

        assert changed.to_dict()["created_at"] == "2020-01-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2022-01-13T09:03:18.293Z", datetime(2022, 1, 13, 9, 3, 18, 293000, UTC)),
            ("2017-02-24T13:10:50Z", datetime(2017, 2, 24, 13, 10, 50, tzinfo=UTC)),
            ("2017-02-24T13:10:50", datetime(2017, 2, 24, 13, 10, 50, tzinfo=UTC)),
            ("2017-02-24T15:10:50+02:00", datetime(2017, 2, 24, 13, 10, 50, tzinfo=UTC)),
        ],
    )
    def test_created_at_is_aware_and_utc(self, text: str, moment: datetime) -> None:
        """`created_at` is an aware datetime in UTC, whatever format the text has."""
        created_at = Export.from_dict(wire(created_at=text)).created_at

        assert created_at == moment
        assert created_at.tzinfo is UTC

    def test_another_time_zone_is_written_as_utc(self) -> None:
        """A `created_at` in another time zone is written in the format of the API, in UTC."""
        zone = timezone(timedelta(hours=2))
        export = evolve(Export.from_dict(wire()), created_at=datetime(2022, 1, 1, 2, tzinfo=zone))

        assert export.to_dict()["created_at"] == "2022-01-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"id": ...}, "required property missing @ Export.id"),
            ({"id": 7}, "expected a string, got int @ Export.id"),
            ({"status": None}, "expected a string, got NoneType @ Export.status"),
            ({"created_at": "yesterday"}, "expected an ISO 8601 time @ Export.created_at"),
            ({"created_at": "0001-01-01T00:00:00+10:00"}, "expected an ISO 8601 time @ Export.created_at"),
            ({"created_at": 1}, "expected a string, got int @ Export.created_at"),
            ({"result": []}, "expected an object, got list @ Export.result"),
            ({"result": {}}, "required property missing @ Export.result.url"),
            ({"parameters": []}, "expected an object, got list @ Export.parameters"),
            ({"parameters": {"fields": "id"}}, "expected a list, got str @ Export.parameters.fields"),
            ({"parameters": {"fields": [1]}}, "expected a string, got int @ Export.parameters.fields"),
            ({"parameters": {"filters": []}}, "expected an object, got list @ Export.parameters.filters"),
        ],
    )
    def test_an_error_names_the_problem_and_the_path(self, changes: dict[str, object], problem: str) -> None:
        """A property that is missing or of the wrong type is named with its path."""
        with pytest.raises(ValueError, match="@") as caught:
            Export.from_dict(wire(**changes))

        assert str(caught.value) == problem

    def test_an_error_names_every_problem(self) -> None:
        """Two problems are reported in one error."""
        with pytest.raises(ValueError, match=r"Export\.id.*; .*Export\.status"):
            Export.from_dict(wire(id=1, status=2))

    @given(CHANGES)
    def test_every_refusal_is_explained(self, changes: dict[str, object]) -> None:
        """`from_dict` refuses exactly the objects in which the converter finds a problem."""
        body = wire(**changes)
        problems = _problems_of(body)

        if problems:
            with pytest.raises(ValueError, match="@ Export") as caught:
                Export.from_dict(body)
            assert str(caught.value) == "; ".join(problems)
        else:
            export = Export.from_dict(body)
            assert Export.from_dict(export.to_dict()) == export

    @pytest.mark.parametrize("wrong", [[], "text", 1, None])
    def test_refuses_what_is_not_an_object(self, wrong: object) -> None:
        """An export that is not a JSON object is a ValueError."""
        with pytest.raises(ValueError, match=r"expected an object, got \w+ @ Export"):
            Export.from_dict(wrong)  # type: ignore[arg-type]  # this is what the test checks

    @pytest.mark.parametrize(
        ("status", "done", "failed", "finished"),
        [
            ("SCHEDULED", False, False, False),
            ("IN_PROGRESS", False, False, False),
            ("DONE", True, False, True),
            ("ERROR", False, True, True),
            ("PAUSED", False, False, False),
        ],
    )
    def test_status_properties(self, status: str, done: bool, failed: bool, finished: bool) -> None:
        """Only DONE and ERROR are finished; an unknown status is not."""
        export = Export.from_dict(wire(status=status))

        assert (export.is_done, export.is_failed, export.is_finished) == (done, failed, finished)

    def test_has_no_result_url_before_it_is_done(self) -> None:
        """Without a result `result_url` is None."""
        assert Export.from_dict(running()).result_url is None

    def test_hash_is_of_id_and_status(self) -> None:
        """The hash uses the id and the status, so that exports can be in sets."""
        done, unfinished = Export.from_dict(wire()), Export.from_dict(running())

        assert hash(done) == hash(Export.from_dict(wire(channel="WEBSITE")))
        assert len({done, unfinished, Export.from_dict(wire())}) == 2

    def test_repr_hides_the_token(self) -> None:
        """No repr shows the query of the result URL."""
        shown = repr(Export.from_dict(wire()))

        assert "DOWNLOAD-SECRET" not in shown
        assert "https://download.voucherify.io/v1/exports/" in repr(ExportResult(RESULT_URL))
        assert "DOWNLOAD-SECRET" not in repr(ExportResult(RESULT_URL))


@pytest.mark.parametrize(
    "model",
    [
        Export.from_dict(wire()),
        Export.from_dict(wire(status="PAUSED", exported_object="wallet", created_at="2017-02-24T13:10:50Z")),
        ExportResult(RESULT_URL),
        ExportParameters(order="", fields=("id",), filters={"junction": "and"}),
        ExportPage(exports=(Export.from_dict(wire()),), total=1),
        RateLimit(limit=100, remaining=99, resets_at=datetime(2026, 1, 1, tzinfo=UTC), kind="api_calls"),
    ],
    ids=lambda model: type(model).__name__,
)
class TestEveryModel:
    def test_survives_pickle_and_copy(self, model: object) -> None:
        """A model that was pickled or copied equals the original."""
        assert pickle.loads(pickle.dumps(model)) == model
        assert copy.copy(model) == model
        assert copy.deepcopy(model) == model

    def test_is_frozen_and_hashable(self, model: object) -> None:
        """Attributes cannot be set, and equal models have equal hashes."""
        with pytest.raises(AttributeError):
            model.id = "other"  # type: ignore[attr-defined]  # this is what the test checks
        assert hash(model) == hash(pickle.loads(pickle.dumps(model)))


class TestOpenEnums:
    def test_an_unknown_value_becomes_a_member(self) -> None:
        """It equals its string, is the same object each time, and is not among the known members."""
        status = ExportStatus("ARCHIVED")

        assert status == "ARCHIVED"
        assert f"{status}" == "ARCHIVED"
        assert status is ExportStatus("ARCHIVED")
        assert pickle.loads(pickle.dumps(status)) is status
        assert status not in list(ExportStatus)

    def test_an_unknown_value_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """The first use of an unknown value logs a warning, and later uses do not."""
        with caplog.at_level(logging.WARNING, "voucherify_exports"):
            ExportedObject("gift_basket")
            ExportedObject("gift_basket")

        assert [record.getMessage() for record in caplog.records] == [
            "Voucherify sent an unknown ExportedObject: 'gift_basket'"
        ]

    def test_refuses_what_is_not_a_string(self) -> None:
        """Only strings can become members."""
        with pytest.raises(ValueError, match="5"):
            ExportStatus(5)  # type: ignore[arg-type]  # this is what the test checks

    def test_have_the_documented_values(self) -> None:
        """All documented statuses and objects are members."""
        assert [*ExportStatus] == ["SCHEDULED", "IN_PROGRESS", "DONE", "ERROR"]
        assert len(ExportedObject) == 10
