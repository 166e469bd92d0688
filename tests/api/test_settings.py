import inspect
from collections.abc import Callable
from typing import get_type_hints

import pytest
from attrs import fields

from voucherify_exports import ClientOptions, ExportsClient, PollPolicy, RetryPolicy, SystemClock, log_event
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
