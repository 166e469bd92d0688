"""Who asks: the credentials of a project, as headers, and what hides them."""

from collections.abc import Mapping
from typing import Protocol

from attrs import Attribute, field, frozen

from ._ground.redact import Redactor, shorten
from .errors import ConfigurationError


class Auth(Protocol):
    """What a client needs of credentials."""

    def headers(self) -> Mapping[str, str]:
        """The headers that authenticate a request."""
        ...

    def redactor(self) -> Redactor:
        """What hides these credentials in text that came from elsewhere."""
        ...


def _check_credential(_instance: object, attribute: "Attribute[str]", value: object) -> None:
    name = attribute.name
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{name} is empty: Voucherify shows it under Project Settings")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigurationError(
            f"{name} holds a space, a line break or another character that no header can"
        )


@frozen
class AppKeys:
    """A project's application id and token, sent as `X-App-Id` and `X-App-Token`."""

    app_id: str = field(validator=_check_credential, repr=shorten)
    app_token: str = field(validator=_check_credential, repr=False)

    def headers(self) -> Mapping[str, str]:
        """The two headers of the keys."""
        return {"X-App-Id": self.app_id, "X-App-Token": self.app_token}

    def redactor(self) -> Redactor:
        """Hides the token, and the id but for its first 6 characters."""
        return Redactor.of([self.app_token], self.app_id)


@frozen
class BearerToken:
    """An OAuth access token that somebody else takes care of."""

    token: str = field(validator=_check_credential, repr=False)

    def headers(self) -> Mapping[str, str]:
        """The `Authorization` header."""
        return {"Authorization": f"Bearer {self.token}"}

    def redactor(self) -> Redactor:
        """Hides the token."""
        return Redactor.of([self.token])


@frozen
class OAuth:
    """Bearer tokens that the client fetches with the project's keys, keeps, and renews in time.

    The scope `exports` covers `/v1/exports*`; the specialised creates, under other paths, need a
    wider one. With `revoke_on_close` the token in use is revoked when the client is closed, so that
    it does not count towards the 1,000 that a project may have until it expires.
    Source: Voucherify API reference, "OAuth 2.0".
    """

    app_id: str = field(validator=_check_credential, repr=shorten)
    app_token: str = field(validator=_check_credential, repr=False)
    scope: str = "exports"
    revoke_on_close: bool = field(default=False, kw_only=True)

    def headers(self) -> Mapping[str, str]:
        """The two headers of the keys, which ask for a token."""
        return AppKeys(self.app_id, self.app_token).headers()

    def redactor(self) -> Redactor:
        """Hides the app token, and the id but for its first 6 characters."""
        return AppKeys(self.app_id, self.app_token).redactor()
