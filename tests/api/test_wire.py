import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import ID, RESULT_URL, wire

from voucherify_exports import (
    ApiError,
    ConfigurationError,
    Export,
    ExportNotFoundError,
    InvalidResponseError,
    RateLimit,
    RateLimitedError,
)
from voucherify_exports._api.wire import (
    Response,
    allowance_from,
    error_from,
    export_from,
    export_path,
    page_from,
    rate_limit_from,
    reset_delay,
    retry_delay,
)
from voucherify_exports._ground.redact import Redactor

REDACT = Redactor(["s3cret", "00-cf91"])
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def response(
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    received: float = NOW,
) -> Response:
    if isinstance(body, dict | list):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    return Response(f"GET /v1/exports/{ID}", status, headers or {}, body, received)


class TestExportPath:
    @pytest.mark.parametrize(
        ("export_id", "path"),
        [
            (ID, f"/v1/exports/{ID}"),
            ("export_old-style", "/v1/exports/export_old-style"),
            ("a b%\\ż…&=;", "/v1/exports/a%20b%25%5C%C5%BC%E2%80%A6%26%3D%3B"),
            ("x" * 256, f"/v1/exports/{'x' * 256}"),
        ],
    )
    def test_encodes_the_id(self, export_id: str, path: str) -> None:
        """An id of any format becomes one segment of the path."""
        assert export_path(export_id) == path

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "a?b",
            "a#b",
            "a\nb",
            "a\x00",
            "\x7f",
            "\ud800",
            "x" * 257,
            "x" * 10**6,
        ],
    )
    def test_refuses_invalid_ids(self, wrong: str) -> None:
        """An id that would lead to another path is refused, in a message of limited length."""
        with pytest.raises(ConfigurationError, match="export id") as caught:
            export_path(wrong)

        assert len(str(caught.value)) < 200

    @pytest.mark.parametrize("wrong", [None, 5, b"exp_1", ["exp_1"]])
    def test_refuses_other_types(self, wrong: object) -> None:
        """Another type is a TypeError that names it."""
        with pytest.raises(TypeError, match=type(wrong).__name__):
            export_path(wrong)


class TestExportFrom:
    def test_parses_an_export(self) -> None:
        """The export in a response with status 200 is returned."""
        assert export_from(response(wire()), REDACT) == Export.from_dict(wire())

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ("<html>sign in</html>", "the body is not JSON: Expecting value"),
            ("", "the body is not JSON: Expecting value"),
            (json.dumps(wire())[:-20], "the body is not JSON: Unterminated string"),
            (b"\xff\xfe\xfa", "the body is not JSON: 'utf-8' codec"),
            ('{"id": NaN}', "the body is not JSON: NaN is not JSON"),
            ("[" * 200_000, "the JSON of the body is nested too deeply"),
            ([], "expected an object, got list @ Export"),
            (wire(id=...), "required property missing @ Export.id"),
            (wire(created_at="soon"), "expected an ISO 8601 time @ Export.created_at"),
            (wire(status=None), "expected a string, got NoneType @ Export.status"),
            (wire(result=[]), "expected an object, got list @ Export.result"),
        ],
    )
    def test_the_error_names_the_problem_and_the_place(self, body: Any, problem: str) -> None:
        """The error contains the request, the problem, its place and the first characters of the body."""
        with pytest.raises(InvalidResponseError) as caught:
            export_from(response(body), REDACT)

        assert caught.value.problem.startswith(problem)
        assert str(caught.value).startswith(
            f"GET /v1/exports/{ID}: unexpected response with status 200: {problem}"
        )
        assert len(caught.value.excerpt) <= 200
        assert repr(caught.value.excerpt) in str(caught.value)

    def test_the_excerpt_contains_no_secret(self) -> None:
        """Tokens and URL queries are removed before the body is shortened."""
        padding = "x" * 150
        body = wire(id=..., channel=padding, result={"url": RESULT_URL}, note="s3cret c70a6f00-cf91")

        with pytest.raises(InvalidResponseError) as caught:
            export_from(response(json.dumps(body, sort_keys=True)), REDACT)

        shown = str(caught.value) + caught.value.excerpt
        assert "DOWNLOAD-SECRET" not in shown
        assert "s3cret" not in shown

    @given(json_values)
    def test_any_json_is_an_export_or_an_invalid_response(self, value: Any) -> None:
        """Any JSON is an export or an InvalidResponseError."""
        _export_or_invalid(json.dumps(value))

    @given(st.binary())
    def test_any_bytes_are_an_export_or_an_invalid_response(self, body: bytes) -> None:
        """Any bytes are an export or an InvalidResponseError."""
        _export_or_invalid(body)

    @given(
        st.dictionaries(st.sampled_from(sorted(wire())), json_values), st.dictionaries(st.text(), json_values)
    )
    def test_any_change_of_an_export_round_trips_or_is_invalid(
        self, changes: dict[str, Any], additions: dict[str, Any]
    ) -> None:
        """An accepted export round-trips, unknown properties included."""
        export = _export_or_invalid(json.dumps(additions | wire(**changes)))

        if export is not None:
            assert Export.from_dict(export.to_dict()) == export
            assert {name: export.to_dict()[name] for name in export.extra} == dict(export.extra)


def _export_or_invalid(body: bytes | str) -> Export | None:
    try:
        return export_from(response(body), REDACT)
    except InvalidResponseError:
        return None


class TestPageFrom:
    def test_parses_a_page(self) -> None:
        """A page has its exports and the total of all pages."""
        page = page_from(
            response({"object": "list", "exports": [wire(), wire(id="exp_2")], "total": 240}), REDACT
        )

        assert [export.id for export in page.exports] == [ID, "exp_2"]
        assert page.total == 240

    def test_a_malformed_entry_is_left_out(self) -> None:
        """The other entries of the page are returned."""
        page = page_from(response({"exports": [wire(status=None), 5, wire(id="exp_2")]}), REDACT)

        assert [export.id for export in page.exports] == ["exp_2"]
        assert page.total == 1

    @pytest.mark.parametrize("body", ["<html>", [], {}, {"exports": {}}])
    def test_refuses_what_is_not_a_page(self, body: Any) -> None:
        """Anything else is an InvalidResponseError."""
        with pytest.raises(InvalidResponseError):
            page_from(response(body), REDACT)


NOT_FOUND = {
    "code": 404,
    "key": "not_found",
    "message": "Resource not found",
    "details": f"Cannot find export with id {ID}",
    "request_id": "v-0b029305af4524cf42",
    "resource_id": ID,
    "resource_type": "export",
}


class TestErrorFrom:
    def test_has_the_properties_of_the_body(self) -> None:
        """The error of the documented 404 has all its properties, and its message says what to do."""
        error = error_from(response(NOT_FOUND, status=404), REDACT)

        assert isinstance(error, ExportNotFoundError)
        assert (error.status, error.key, error.message) == (404, "not_found", "Resource not found")
        assert (error.details, error.request_id) == (NOT_FOUND["details"], "v-0b029305af4524cf42")
        assert (error.resource_id, error.resource_type) == (ID, "export")
        assert str(error) == (
            f"GET /v1/exports/{ID}: 404 · not_found · Resource not found · Cannot find export with id {ID}"
            " (check the id, and that it belongs to this project) [request v-0b029305af4524cf42]"
        )

    @pytest.mark.parametrize("status", range(400, 600))
    @pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>", "[]", '{"message": 5}'])
    def test_needs_no_body(self, status: int, body: str) -> None:
        """A gateway's HTML or an empty body still gives the error of the status."""
        error = error_from(response(body, status=status), REDACT)

        assert type(error) is ApiError.for_status(status)
        assert error.status == status
        assert (error.key, error.message, error.details, error.request_id) == (None, None, None, None)

    def test_contains_no_secret(self) -> None:
        """Credentials that a server quotes are not in the error."""
        error = error_from(
            response(
                {"message": "app c70a6f00-cf91", "details": "token s3cret", "key": "s3cret"}, status=401
            ),
            REDACT,
        )

        assert isinstance(error, ApiError)
        assert "s3cret" not in str(error) + repr(error.__dict__)
        assert "c70a6f00-cf91" not in str(error) + repr(error.__dict__)

    @pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 600, 999])
    def test_a_redirect_is_an_invalid_response(self, status: int) -> None:
        """A redirect is not followed with credentials, and its target is reported without the query."""
        headers = {"Location": "https://login.example/?next=secret"}

        error = error_from(response("", status=status, headers=headers), REDACT)

        assert isinstance(error, InvalidResponseError)
        assert "a redirect to https://login.example/, which is not followed; check base_url" in str(error)
        assert "next" not in str(error)

    def test_a_redirect_without_a_location(self) -> None:
        """Without a location the message names no target."""
        assert "a redirect, which is not followed" in str(error_from(response("", status=302), REDACT))

    def test_a_429_with_a_time(self) -> None:
        """`retry_at` is an aware datetime by the local clock."""
        error = error_from(response({}, status=429, headers={"Retry-After": "30"}), REDACT)

        assert isinstance(error, RateLimitedError)
        assert error.retry_at == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)

    @pytest.mark.parametrize("headers", [{}, {"Retry-After": "9" * 18}])
    def test_a_429_without_a_time(self, headers: dict[str, str]) -> None:
        """Without a time, or with one that no datetime can represent, `retry_at` is None."""
        error = error_from(response({}, status=429, headers=headers), REDACT)

        assert isinstance(error, RateLimitedError)
        assert error.retry_at is None


class TestRetryDelay:
    @pytest.mark.parametrize(
        ("headers", "delay"),
        [
            ({}, None),
            ({"Retry-After": "30"}, 30),
            ({"Retry-After": "30", "X-Rate-Limit-Retry": f"{NOW + 5:.0f}"}, 30),
            ({"Retry-After": "0"}, None),
            ({"Retry-After": "-5"}, None),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
            ({"Retry-After": "Wed, 31 Dec 2025 23:59:00 GMT"}, None),
            ({"Retry-After": "Thu, 99 Jan 2026 00:01:00 GMT"}, None),
            ({"Retry-After": "soon", "X-Rate-Limit-Retry": f"{NOW + 5:.0f}"}, 5),
            ({"X-Rate-Limit-Retry": f"{NOW + 45:.0f}"}, 45),
            ({"X-Rate-Limit-Retry": f"{NOW:.0f}"}, None),
            ({"X-Rate-Limit-Retry": f"{NOW - 45:.0f}"}, None),
            ({"X-Rate-Limit-Retry": "tomorrow"}, None),
            ({"X-Rate-Limit-Retry": "١٢"}, None),
        ],
    )
    def test_reads_the_headers_in_order(self, headers: dict[str, str], delay: float | None) -> None:
        """Retry-After in seconds or as a date wins over X-Rate-Limit-Retry, and past times are ignored."""
        assert retry_delay(response(headers=headers)) == delay

    @pytest.mark.parametrize("skew", [-3600, -2, 2, 3600])
    @pytest.mark.parametrize(
        "named", [{"X-Rate-Limit-Retry": f"{NOW + 45:.0f}"}, {"Retry-After": "Thu, 01 Jan 2026 00:00:45 GMT"}]
    )
    def test_uses_the_servers_clock(self, skew: float, named: dict[str, str]) -> None:
        """The delay is what the server meant, even if the local clock is seconds or an hour off."""
        headers = {"Date": DATE} | named

        assert retry_delay(response(headers=headers, received=NOW + skew)) == 45

    def test_uses_the_local_clock_within_a_second(self) -> None:
        """If both clocks agree to the second, the local clock gives the fractions."""
        headers = {"Date": DATE, "X-Rate-Limit-Retry": f"{NOW + 45:.0f}"}

        assert retry_delay(response(headers=headers, received=NOW + 0.75)) == 44.25

    def test_an_invalid_date_is_ignored(self) -> None:
        """With an invalid Date header the local clock is used."""
        headers = {"Date": "now", "X-Rate-Limit-Retry": f"{NOW + 45:.0f}"}

        assert retry_delay(response(headers=headers)) == 45


class TestTimesThatCannotBeMeant:
    """No window of Voucherify is longer than an hour, and no refusal than a billing cycle."""

    @pytest.mark.parametrize(
        "retry_after",
        [f"{NOW + 30:.0f}", f"{NOW * 1000:.0f}", "2678401", "Mon, 02 Feb 2026 00:00:00 GMT"],
        ids=["an epoch", "an epoch in milliseconds", "over a month", "a date after a month"],
    )
    def test_retry_after(self, retry_after: str) -> None:
        """Such a header counts as missing, and another one is used."""
        headers = {"Date": DATE, "Retry-After": retry_after}
        assert retry_delay(response(headers=headers)) is None
        assert retry_delay(response(headers={**headers, "X-Rate-Limit-Retry": f"{NOW + 45:.0f}"})) == 45

    @pytest.mark.parametrize(
        ("resets_at", "date"),
        [
            (f"{NOW * 1000 + 45000:.0f}", DATE),
            (f"{NOW + 86400:.0f}", DATE),
            (f"{NOW + 45:.0f}", "Wed, 31 Dec 2025 00:00:00 GMT"),
        ],
        ids=["milliseconds", "a day ahead", "a date a day behind"],
    )
    def test_rate_limit_retry(self, resets_at: str, date: str) -> None:
        """Neither the quota nor the event gets the time."""
        odd = response(headers={"X-Rate-Limit-Retry": resets_at, "Date": date})

        assert allowance_from(odd)[2] is None
        assert retry_delay(odd) is None
        assert _rate_limit(odd).resets_at is None

    def test_an_hour(self) -> None:
        """The longest window counts, also when clocks differ by some seconds."""
        assert reset_delay(response(headers={"X-Rate-Limit-Retry": f"{NOW + 3610:.0f}"})) == 3610
        assert reset_delay(response(headers={"X-Rate-Limit-Retry": f"{NOW + 3611:.0f}"})) is None

    def test_a_billing_cycle(self) -> None:
        """A refusal may last until the next billing cycle."""
        assert retry_delay(response(headers={"Date": DATE, "Retry-After": "2678400"})) == 2678400


def _rate_limit(with_headers: Response) -> RateLimit:
    return rate_limit_from(with_headers, allowance_from(with_headers))


class TestRateLimitFrom:
    def test_reads_all_four_headers(self) -> None:
        """The four headers are converted to numbers, an aware datetime and a kind."""
        headers = {
            "X-Rate-Limit-Limit": "100",
            "X-Rate-Limit-Remaining": "99",
            "X-Rate-Limit-Retry": f"{NOW + 60:.0f}",
            "X-Rate-Limit-Type": "api_calls",
        }

        assert _rate_limit(response(headers=headers)) == RateLimit(
            limit=100, remaining=99, resets_at=datetime(2026, 1, 1, 0, 1, tzinfo=UTC), kind="api_calls"
        )

    @pytest.mark.parametrize("value", ["", "many", "-1", "1.5", "1e3", "9" * 30])
    def test_a_header_that_is_not_a_number_is_missing(self, value: str) -> None:
        """A header with another value counts as missing."""
        names = ("X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Retry")

        without_numbers = response(headers=dict.fromkeys(names, value))

        assert _rate_limit(without_numbers) == RateLimit()
