import inspect
from typing import get_type_hints

from attrs import fields

from voucherify_exports import ClientOptions, ExportsClient, PollPolicy, RetryPolicy, SystemClock, log_event
from voucherify_exports._api.settings import Settings


class TestOptions:
    def test_each_is_typed_once_and_has_its_default_once(self) -> None:
        """What type checkers read and what the client uses have the same options, in the same order."""
        options = [option for option in fields(Settings) if option.init]
        keys = ["app_id", "app_token"]

        assert [option.name for option in options] == [*keys, *ClientOptions.__annotations__]
        hints, types = get_type_hints(Settings), get_type_hints(ClientOptions)
        for name in ClientOptions.__annotations__.keys() - {"on_event", "clock"}:
            assert hints[name] == types[name], name
        for name in ("on_event", "clock"):  # None stands for the default
            assert hints[name] | None == types[name], name

    def test_the_signature_shows_them(self) -> None:
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

    def test_none_stands_for_the_default(self) -> None:
        """A hook and a clock of None are those that log and tell the system's time."""
        settings = Settings(app_id="id", app_token="token", on_event=None, clock=None)

        assert settings.on_event is log_event
        assert isinstance(settings.clock, SystemClock)

    def test_no_secret_is_in_the_repr(self) -> None:
        """Settings stand in the frames of tracebacks."""
        assert "s3cret" not in repr(Settings(app_id="c70a6f00-cf91", app_token="s3cret"))
        assert "cf91" not in repr(Settings(app_id="c70a6f00-cf91", app_token="s3cret"))
