"""What a client is configured with: each option, its default and its check, in one place."""

import inspect
import re
from collections.abc import Iterable
from typing import Any, TypedDict

import aiohttp
from attrs import Attribute, Factory, field, fields, frozen
from yarl import URL

from .._ground.callbacks import check_callback
from .._ground.clock import Clock, SystemClock
from ..auth import AppKeys, Auth
from ..errors import ConfigurationError, check_range, describe_unknown
from ..events import EventHook, log_event
from ..polling import PollPolicy, RetryPolicy
from .trust import Trust, is_loopback


class ClientOptions(TypedDict, total=False):
    """The keyword options of `ExportsClient` and `ExportsClient.from_env`."""

    cluster: str
    base_url: str | URL | None
    auth: Auth | None
    session: aiohttp.ClientSession | None
    request_timeout: float
    retry: RetryPolicy
    poll: PollPolicy
    poll_share: float
    read_lag: float
    max_quota_wait: float
    max_connections: int
    trusted_hosts: Iterable[str]
    on_event: EventHook | None
    clock: Clock | None


def check_options(given: Iterable[str], known: type) -> None:
    """Raise `TypeError` for a name that a `TypedDict` of options does not have."""
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(describe_unknown("option", name, [*known.__annotations__]))


def _in_range(**bounds: float) -> Any:
    """A validator of attrs."""

    def check(_instance: object, attribute: "Attribute[float]", value: float) -> None:
        check_range(attribute.name, value, **bounds)

    return check


def _is_integer(_instance: object, attribute: "Attribute[int]", value: object) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be an integer, not {value!r}")


def _is_plain_function(_instance: object, attribute: "Attribute[EventHook]", value: object) -> None:
    check_callback(attribute.name, value)


def check_policy(name: str, value: object, kind: type) -> None:
    """Raise `TypeError`, which names the argument, for anything but a policy of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


def _is_policy(kind: type) -> Any:
    """A validator of attrs."""

    def check(_instance: object, attribute: "Attribute[object]", value: object) -> None:
        check_policy(attribute.name, value, kind)

    return check


def _is_auth(_instance: object, attribute: "Attribute[Auth | None]", value: object) -> None:
    if value is not None:
        _check_methods(attribute.name, value, "headers", "secrets")


def _is_clock(_instance: object, attribute: "Attribute[Clock]", value: object) -> None:
    _check_methods(attribute.name, value, "monotonic", "wall")
    if not callable(getattr(value, "sleep", None)):
        raise TypeError(f"{attribute.name} must have the method sleep")


def _check_methods(name: str, value: object, *methods: str) -> None:
    """Raise `TypeError` for an object without these methods, for async ones, and for a class."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be an object, not the class {value.__name__}")
    for method in methods:
        function = getattr(value, method, None)
        if function is None:
            raise TypeError(
                f"{name} must have the method {method}, which {type(value).__name__} does not have"
            )
        check_callback(f"{name}.{method}", function)


def _is_session(
    _instance: object, attribute: "Attribute[aiohttp.ClientSession | None]", value: object
) -> None:
    is_usable = hasattr(value, "request") and hasattr(value, "closed") and not isinstance(value, type)
    if value is not None and not is_usable:
        raise TypeError(f"{attribute.name} must be an aiohttp.ClientSession, not {type(value).__name__}")


def _hook_or_log(hook: EventHook | None) -> EventHook:
    return log_event if hook is None else hook


def _clock_or_system(clock: Clock | None) -> Clock:
    return SystemClock() if clock is None else clock


@frozen(kw_only=True)
class Settings:
    """The options of one client: checked, with their defaults, and read by all its parts.

    What follows from them: `credentials`, from the keys or `auth`; `url`, where the API is; `trust`, which
    hosts may receive the credentials.
    """

    app_id: str | None = field(default=None, repr=False)
    app_token: str | None = field(default=None, repr=False)
    cluster: str = "api"
    base_url: str | URL | None = None
    auth: Auth | None = field(default=None, validator=_is_auth)
    session: aiohttp.ClientSession | None = field(default=None, validator=_is_session)
    request_timeout: float = field(default=30.0, validator=_in_range(above=0))
    # Policies are frozen, so one serves all clients.
    retry: RetryPolicy = field(default=RetryPolicy(), validator=_is_policy(RetryPolicy))
    poll: PollPolicy = field(default=PollPolicy(), validator=_is_policy(PollPolicy))
    poll_share: float = field(default=0.5, validator=_in_range(above=0, most=1))
    read_lag: float = field(default=10.0, validator=_in_range(least=0))
    max_quota_wait: float = field(default=120.0, validator=_in_range(least=0))
    max_connections: int = field(default=20, validator=[_in_range(above=0), _is_integer])
    trusted_hosts: Iterable[str] = ()
    on_event: EventHook = field(default=None, converter=_hook_or_log, validator=_is_plain_function)
    clock: Clock = field(default=None, converter=_clock_or_system, validator=_is_clock)
    credentials: Auth = field(init=False, default=Factory(lambda given: _credentials(given), takes_self=True))
    url: URL = field(init=False, default=Factory(lambda given: _url(given), takes_self=True))
    trust: Trust = field(init=False, default=Factory(lambda given: _trust(given), takes_self=True))


def _credentials(settings: Settings) -> Auth:
    """The keys or `auth`; `ConfigurationError` for none, half of them, or both."""
    app_id, app_token = settings.app_id, settings.app_token
    if settings.auth is not None:
        if app_id is not None or app_token is not None:
            raise ConfigurationError("give either app_id and app_token, or auth, not both")
        return settings.auth
    if app_id is None or app_token is None:
        missing = "app_id" if app_id is None else "app_token"
        raise ConfigurationError(f"{missing} is missing: give app_id and app_token, or auth")
    return AppKeys(app_id, app_token)


def _url(settings: Settings) -> URL:
    return check_base_url(_cluster_url(settings.cluster) if settings.base_url is None else settings.base_url)


def _trust(settings: Settings) -> Trust:
    return Trust.from_hosts(settings.url, settings.trusted_hosts)


class ClientSignature:
    """Shows the options of `ExportsClient` with their defaults to `help` and to the documentation.

    Type checkers read `ClientOptions`. A subclass with an `__init__` of its own shows that one.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._client = owner

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if next(each for each in owner.__mro__ if "__init__" in vars(each)) is not self._client:
            raise AttributeError("__signature__")
        return _signature()


def _signature() -> inspect.Signature:
    types = {"app_id": str | None, "app_token": str | None, **ClientOptions.__annotations__}
    return inspect.Signature(
        [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY
                if option.name in ClientOptions.__annotations__
                else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=option.default,
                annotation=types[option.name],
            )
            for option in fields(Settings)
            if option.init
        ]
    )


def _cluster_url(cluster: str) -> str:
    if not isinstance(cluster, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # not every caller checks types
        raise TypeError(f"cluster must be a str, not {type(cluster).__name__}")
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", cluster):
        raise ConfigurationError(f"cluster {cluster!r} is not like 'api', 'us1.api' or 'as1.api'")
    return f"https://{cluster}.voucherify.io"


def check_base_url(given: str | URL) -> URL:
    """The base URL without a slash at its end; `ConfigurationError` for one that cannot be used."""
    if not isinstance(given, str | URL):  # pyright: ignore[reportUnnecessaryIsInstance]  # not every caller checks types
        raise TypeError(f"base_url must be a str or a yarl.URL, not {type(given).__name__}")
    try:
        url = URL(given)
        host = url.host
    except ValueError:
        raise ConfigurationError("base_url is not a URL") from None
    if url.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("base_url must be like 'https://api.voucherify.io'")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise ConfigurationError("base_url must not contain a user, password, query or fragment")
    if url.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"base_url must be https for the host {host!r}: http would send the credentials unencrypted"
        )
    return URL(str(url).rstrip("/"))
