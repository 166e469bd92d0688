"""Credentials: the headers that authenticate a request, and the secrets in them."""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from attrs import Attribute, field, frozen

from ._ground.redact import SHOWN_OF_APP_ID as _SHOWN
from ._ground.redact import shorten
from .errors import ConfigurationError


class Auth(Protocol):
    """What a client needs of credentials; any class with these methods can be given as `auth`.

    >>> class VaultKeys:
    ...     def headers(self):
    ...         return {"X-App-Id": "c70a6f00", "X-App-Token": "from-a-vault"}
    ...
    ...     def secrets(self):
    ...         return ["from-a-vault"]
    """

    def headers(self) -> Mapping[str, str]:
        """The headers that authenticate a request; called for each request."""
        ...

    def secrets(self) -> Iterable[str]:
        """The strings that no message, log line or event may show."""
        ...


@runtime_checkable
class RenewableAuth(Auth, Protocol):
    """Credentials that can renew themselves: `renew` is called once after a 401, and the request sent again.

    Requests that are refused at the same time share one renewal, which takes at most `request_timeout`
    seconds. If `renew` raises, these requests raise `AuthenticationError` with its exception as the cause.
    """

    async def renew(self) -> None:
        """Replace the credentials: from then on, `headers` and `secrets` return the new ones."""
        ...


def _check_credential(_instance: object, attribute: "Attribute[str]", value: object) -> None:
    name = attribute.name
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{name} is empty: Voucherify shows it under Project Settings")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigurationError(
            f"{name} contains a space, a line break or another character that a header cannot contain"
        )


def _secrets_of(app_id: str, app_token: str) -> tuple[str, ...]:
    if len(app_id) <= _SHOWN:
        return (app_token,)
    # A rest of few characters would be found in any text.
    return app_token, app_id[_SHOWN:] if len(app_id) >= 2 * _SHOWN else app_id


@frozen
class AppKeys:
    """A project's application id and token, sent as `X-App-Id` and `X-App-Token`."""

    app_id: str = field(validator=_check_credential, repr=shorten)
    app_token: str = field(validator=_check_credential, repr=False)

    def headers(self) -> Mapping[str, str]:
        """`X-App-Id` and `X-App-Token`."""
        return {"X-App-Id": self.app_id, "X-App-Token": self.app_token}

    def secrets(self) -> Iterable[str]:
        """The token, and what follows the first 6 characters of the id."""
        return _secrets_of(self.app_id, self.app_token)


@frozen
class BearerToken:
    """An OAuth access token that the caller obtains and renews."""

    token: str = field(validator=_check_credential, repr=False)

    def headers(self) -> Mapping[str, str]:
        """The `Authorization` header."""
        return {"Authorization": f"Bearer {self.token}"}

    def secrets(self) -> Iterable[str]:
        """The token."""
        return (self.token,)


@frozen
class OAuth:
    """OAuth access tokens, which the client fetches with the project's keys and renews before they expire.

    The scope `exports` covers `/v1/exports*`. The specialised creates have other paths and need a wider
    scope. With `revoke_on_close`, closing the client revokes its token, which otherwise counts towards the
    1,000 tokens of a project until it expires.
    Source: Voucherify API reference, "OAuth 2.0".
    """

    app_id: str = field(validator=_check_credential, repr=shorten)
    app_token: str = field(validator=_check_credential, repr=False)
    scope: str = "exports"
    revoke_on_close: bool = field(default=False, kw_only=True)

    def headers(self) -> Mapping[str, str]:
        """`X-App-Id` and `X-App-Token`, which authenticate the request for a token."""
        return {"X-App-Id": self.app_id, "X-App-Token": self.app_token}

    def secrets(self) -> Iterable[str]:
        """The app token, and what follows the first 6 characters of the id."""
        return _secrets_of(self.app_id, self.app_token)
