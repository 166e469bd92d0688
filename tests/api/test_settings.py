import inspect
import math
import time
from collections.abc import Callable
from typing import Any, get_type_hints
from unittest.mock import Mock

import aiohttp
import pytest
from attrs import fields

from voucherify_exports import (
    AppKeys,
    ClientOptions,
    ExportsClient,
    PollPolicy,
    RetryPolicy,
    SystemClock,
    log_event,
)
from voucherify_exports._api.settings import Settings


class TestOptions:
    def test_types_and_settings_agree(self) -> None:
        """ClientOptions and Settings have the same options and types, in the same order."""
        options = [option for option in fields(Settings) if option.init]
        keys = ["app_id", "app_token"]

        assert [option.name for option in options] == [*keys, *ClientOptions.__annotations__]
        hints, types = get_type_hints(Settings), get_type_hints(ClientOptions)
        for name in ClientOptions.__annotations__.keys() - {"on_event", "clock"}:
            assert hints[name] == types[name], name
        for name in ("on_event", "clock"):  # None means the default
            assert hints[name] | None == types[name], name

    def test_the_signature(self) -> None:
        """`help` and the documentation show each option with its default."""
        signature = inspect.signature(ExportsClient)

        assert list(signature.parameters) == ["app_id", "app_token", *ClientOptions.__annotations__]
        defaults = {name: parameter.default for name, parameter in signature.parameters.items()}
        assert defaults == {
            "app_id": None,
            "app_token": None,
            "cluster": "api",
            "base_url": None,
            "auth": None,
            "session": None,
            "request_timeout": 30.0,
            "retry": defaults["retry"],
            "poll": PollPolicy(),
            "poll_share": 0.5,
            "read_lag": 10.0,
            "max_quota_wait": 120.0,
            "max_connections": 20,
            "trusted_hosts": (),
            "on_event": None,
            "clock": None,
        }
        assert isinstance(defaults["retry"], RetryPolicy)
        assert signature.parameters["app_token"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert signature.parameters["cluster"].kind is inspect.Parameter.KEYWORD_ONLY

    def test_a_subclass_has_a_signature_of_its_own(self) -> None:
        """A subclass with other parameters does not show those of the client."""

        class Named(ExportsClient):
            def __init__(self, name: str) -> None:
                super().__init__(name, "token")

        assert list(inspect.signature(Named).parameters) == ["name"]

    @pytest.mark.parametrize("make", [ExportsClient, ExportsClient.from_env])
    def test_a_typo_is_reported_with_a_suggestion(self, make: Callable[..., ExportsClient]) -> None:
        """An unknown option is a TypeError that names a similar one."""
        with pytest.raises(TypeError, match="unknown option 'pol_share'; did you mean 'poll_share'"):
            make("id", "token", pol_share=0.3)

    def test_none_means_the_default(self) -> None:
        """`on_event=None` logs events, and `clock=None` uses the system's time."""
        settings = Settings(app_id="id", app_token="token", on_event=None, clock=None)

        assert settings.on_event is log_event
        assert isinstance(settings.clock, SystemClock)

    def test_the_repr_contains_no_secret(self) -> None:
        """Settings are in the frames of tracebacks, so their repr hides the credentials."""
        assert "s3cret" not in repr(Settings(app_id="c70a6f00-cf91", app_token="s3cret"))
        assert "cf91" not in repr(Settings(app_id="c70a6f00-cf91", app_token="s3cret"))


class AsyncHeaders:
    async def headers(self) -> dict[str, str]:
        return {}

    def secrets(self) -> list[str]:
        return []


class OtherSession:
    """Has a `request`, as other libraries' sessions do."""

    def request(self) -> None: ...


WRONG_TYPES: list[tuple[dict[str, Any], str]] = [
    ({"poll": None}, "poll must be a PollPolicy, not NoneType"),
    ({"poll": PollPolicy}, "poll must be a PollPolicy, not type"),
    ({"poll": 3}, "poll must be a PollPolicy, not int"),
    ({"retry": 3}, "retry must be a RetryPolicy, not int"),
    ({"retry": None}, "retry must be a RetryPolicy, not NoneType"),
    ({"retry": PollPolicy()}, "retry must be a RetryPolicy, not PollPolicy"),
    ({"trusted_hosts": 3}, "trusted_hosts must be a list of host names, not int"),
    ({"trusted_hosts": [b"example.com"]}, "trusted_hosts: a host name must be a str, not bytes"),
    ({"trusted_hosts": b"example.com"}, "trusted_hosts: a host name must be a str, not int"),
    ({"session": 3}, "session must be an aiohttp.ClientSession, not int"),
    ({"session": OtherSession()}, "session must be an aiohttp.ClientSession, not OtherSession"),
    ({"session": aiohttp.ClientSession}, "session must be an aiohttp.ClientSession, not type"),
    ({"clock": 3}, "clock must have the method monotonic, which int does not have"),
    ({"clock": time}, "clock must have the method wall, which module does not have"),
    ({"clock": SystemClock}, "clock must be an object, not the class SystemClock"),
    ({"clock": Mock(spec=["monotonic", "wall"])}, "clock must have the method sleep"),
    ({"clock": Mock(wall=3)}, r"clock\.wall must be a function, not int"),
    ({"cluster": 3}, "cluster must be a str, not int"),
    ({"cluster": None}, "cluster must be a str, not NoneType"),
    ({"base_url": 3}, r"base_url must be a str or a yarl\.URL, not int"),
    ({"base_url": b"https://api.voucherify.io"}, r"base_url must be a str or a yarl\.URL, not bytes"),
    ({"request_timeout": True}, "request_timeout must be a number, not bool"),
    ({"request_timeout": "30"}, "request_timeout must be a number, not str"),
    ({"poll_share": True}, "poll_share must be a number, not bool"),
    ({"max_quota_wait": None}, "max_quota_wait must be a number, not NoneType"),
    ({"max_quota_wait": False}, "max_quota_wait must be a number, not bool"),
    ({"max_connections": True}, "max_connections must be a number, not bool"),
    ({"on_event": "print"}, "on_event must be a function, not str"),
]

WRONG_AUTHS: list[tuple[Any, str]] = [
    (3, "auth must have the method headers, which int does not have"),
    (("id", "token"), "auth must have the method headers, which tuple does not have"),
    (AppKeys, "auth must be an object, not the class AppKeys"),
    (Mock(spec=["headers"]), "auth must have the method secrets"),
    (Mock(headers={"X-App-Id": "id"}), r"auth\.headers must be a function, not dict"),
    (AsyncHeaders(), r"auth\.headers must be a plain function: an async one would never run"),
]


class TestWrongTypes:
    @pytest.mark.parametrize(("options", "problem"), WRONG_TYPES)
    def test_an_option(self, options: dict[str, Any], problem: str) -> None:
        """The client is not created, and the error names the option."""
        with pytest.raises(TypeError, match=f"^{problem}"):
            ExportsClient("c70a6f00", "token", **options)

    @pytest.mark.parametrize(("auth", "problem"), WRONG_AUTHS)
    def test_credentials(self, auth: Any, problem: str) -> None:
        """What cannot authenticate a request is refused before there is one."""
        with pytest.raises(TypeError, match=f"^{problem}"):
            ExportsClient(auth=auth)

    @pytest.mark.parametrize("given", ["poll", "retry"])
    def test_a_strategy(self, given: str) -> None:
        """A wait strategy must be callable."""
        policies: dict[str, Any] = {"poll": PollPolicy, "retry": RetryPolicy}
        with pytest.raises(TypeError, match="'wait' must be callable"):
            policies[given](wait=3)

    def test_infinite_bounds(self) -> None:
        """No bound is a number as well."""
        ExportsClient("c70a6f00", "token", request_timeout=math.inf, max_quota_wait=math.inf)
