"""The connection: the meaning of its fields, its test, its form, and masking."""

import importlib
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection
from airflow.sdk.log import redact
from threaded import connection_to

from voucherify_exports import ConfigurationError, MissingExtraError, OAuth, PollPolicy, RetryPolicy, Sandbox
from voucherify_exports.airflow import VoucherifyHook, hook
from voucherify_exports_airflow import get_provider_info


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> VoucherifyHook:
    fields = {"conn_type": "voucherify", "login": "app-id-1", "password": "secret-token-1"} | fields
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))
    return VoucherifyHook("shop")


def test_a_missing_airflow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like tests/test_airflow.py, which runs without Airflow; here for the measurement of coverage."""
    monkeypatch.setitem(sys.modules, "airflow.sdk", None)
    monkeypatch.delitem(sys.modules, "voucherify_exports.airflow")

    with pytest.raises(MissingExtraError, match=r"pip install 'voucherify-exports\[airflow\]'"):
        importlib.import_module("voucherify_exports.airflow")


class TestConnection:
    @pytest.mark.parametrize(
        ("fields", "url"),
        [
            ({}, "https://api.voucherify.io"),
            ({"host": "api"}, "https://api.voucherify.io"),
            ({"host": "us1.api"}, "https://us1.api.voucherify.io"),
            ({"host": "shop.api.voucherify.io"}, "https://shop.api.voucherify.io"),
            ({"host": "https://shop.example.com/voucherify"}, "https://shop.example.com/voucherify"),
            ({"host": "127.0.0.1", "port": 8080, "schema": "http"}, "http://127.0.0.1:8080"),
            ({"host": "http://127.0.0.1", "port": 8080}, "http://127.0.0.1:8080"),
        ],
    )
    def test_the_host_is_a_cluster_or_a_url(
        self, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], url: str
    ) -> None:
        """A host in the form of a cluster is one; any other is a host name or URL."""
        assert f" {url} " in repr(connect(monkeypatch, **fields).get_conn())

    def test_a_url_of_a_sandbox_survives_being_a_uri(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Airflow may store a connection as one URI, which moves the port out of the host."""
        given = Connection(
            conn_id="shop", conn_type="voucherify", host="http://127.0.0.1:8080", login="a", password="b"
        )
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", given.get_uri())

        assert "http://127.0.0.1:8080 " in repr(VoucherifyHook("shop").get_conn())

    def test_extra_holds_the_other_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each option in extra reaches the client; null is equivalent to a missing option."""
        given: dict[str, Any] = {}
        monkeypatch.setattr(hook, "ExportsClient", lambda **options: given.update(options))
        extra = {
            "poll_share": 0.3,
            "request_timeout": 10,
            "max_quota_wait": None,
            "trusted_hosts": ["files.example.com"],
            "poll": {"initial": 1, "max": 5},
            "retry": {"attempts": 2},
        }
        connect(monkeypatch, extra=extra).get_conn()

        assert given.pop("on_event") is None
        retry = given.pop("retry")
        assert isinstance(retry, RetryPolicy)
        assert retry.attempts == 2
        assert given == {
            "app_id": "app-id-1",
            "app_token": "secret-token-1",
            "poll_share": 0.3,
            "request_timeout": 10,
            "trusted_hosts": ["files.example.com"],
            "poll": PollPolicy(initial=1, max=5),
        }

    def test_oauth(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With `oauth`, the credentials of the connection fetch access tokens."""
        given: dict[str, Any] = {}
        monkeypatch.setattr(hook, "ExportsClient", lambda **options: given.update(options))
        connect(monkeypatch, extra={"oauth": {"revoke_on_close": True}}).get_conn()

        assert given.pop("on_event") is None
        assert given == {"auth": OAuth("app-id-1", "secret-token-1", revoke_on_close=True)}

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({"extra": {"pol_share": 0.3}}, "extra: unknown option 'pol_share'; did you mean 'poll_share'?"),
            (
                {"extra": {"colour": "red"}},
                "extra: unknown option 'colour'; known options: request_timeout, retry, poll,",
            ),
            ({"extra": '["secret-token-1"]'}, "extra is not a JSON object"),
            ({"extra": {"poll": {"often": 1}}}, "unexpected keyword argument 'often'"),
            ({"extra": {"poll": 3}}, "must be a mapping"),
            ({"extra": {"poll_share": 2}}, "poll_share cannot be 2"),
            ({"extra": {"request_timeout": "long"}}, "must be a number, not str"),
            ({"extra": {"trusted_hosts": "a.example.com"}}, "trusted_hosts must be a list of host names"),
            ({"host": "http://shop.example.com"}, "base_url must be https"),
            ({"login": None}, "app_id is empty"),
            ({"password": ""}, "app_token is empty"),
        ],
    )
    def test_invalid_values_are_reported(
        self, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], problem: str
    ) -> None:
        """The error has the connection's id, and none of its secrets."""
        with pytest.raises(ConfigurationError) as caught:
            connect(monkeypatch, **fields).get_conn()

        assert str(caught.value).startswith("connection 'shop': ")
        assert problem in str(caught.value)
        assert "secret-token-1" not in str(caught.value)


class TestTestConnection:
    def test_it_reports_success(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """Airflow's test of a connection costs one request."""
        sandbox.add_export("order")
        connection = Connection.from_json(connection_to(sandbox), conn_id="shop")

        assert connection.test_connection() == (True, "Connected to Voucherify; exports in the project: 1")
        assert len(sandbox.requests) == 1

    def test_it_reports_an_error(self, sandbox: Sandbox) -> None:
        """The message is the client's, which hides the token."""
        sandbox.fail(status=401)
        connection = Connection.from_json(connection_to(sandbox), conn_id="shop")

        is_good, reason = connection.test_connection()

        assert not is_good
        assert "401" in reason
        assert sandbox.app_token not in reason

    def test_invalid_values_fail_it(self, sandbox: Sandbox) -> None:
        """An invalid connection fails the test without a request."""
        connection = Connection.from_json(connection_to(sandbox, colour="red"), conn_id="shop")

        is_good, reason = connection.test_connection()

        assert not is_good
        assert "extra: unknown option 'colour'" in reason
        assert not sandbox.requests

    def test_secrets_are_masked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After the connection has been read, task logs show asterisks instead of the token."""
        connect(monkeypatch, password="never-to-be-seen").get_conn()

        assert redact("it is never-to-be-seen, is it?") == "it is ***, is it?"


class TestForm:
    def test_the_provider_info_is_valid(self) -> None:
        """It fits the schema that Airflow checks at run time, and the schema of provider.yaml."""
        folder = Path(airflow.__file__).parent
        info = get_provider_info()

        jsonschema.validate(info, json.loads((folder / "provider_info.schema.json").read_text()))
        strict = json.loads((folder / "provider.yaml.schema.json").read_text())["properties"]
        jsonschema.validate(info["connection-types"], strict["connection-types"])
        [entry] = entry_points(
            group="apache_airflow_provider", name="provider_info", module="voucherify_exports_airflow"
        )
        assert entry.load()() == info

    def test_the_type_and_its_fields_are_in_the_form(self) -> None:
        """The form has a field for each option that the hook accepts."""
        manager = ProvidersManager()

        found = manager.hooks["voucherify"]
        assert found is not None
        assert (found.hook_name, found.connection_testable) == ("Voucherify", True)
        assert manager.field_behaviours["voucherify"]["relabeling"]["login"] == "Application id"
        prefix = "extra__voucherify__"
        shown = {name for name in manager.connection_form_widgets if name.startswith(prefix)}
        assert shown == {prefix + name for name in hook.OPTIONS}
