"""Which hosts may receive the credentials, and which URLs are followed at all; no I/O."""

import ipaddress
import re
from collections.abc import Iterable

from attrs import frozen
from yarl import URL

from ..errors import ConfigurationError

_HOME = "voucherify.io"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:]+:[0-9a-f:.]*")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: `localhost`, or a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_url(text: str) -> URL:
    """The URL exactly as it is written; `ValueError` says why one cannot be followed."""
    return _check(_url(text))


def next_url(before: URL, location: str) -> URL:
    """The target of a redirect; `ValueError` for one that is not followed."""
    target = _url(location)
    url = _check(target if target.scheme else before.join(target))
    if before.scheme == "https" and url.scheme != "https":
        raise ValueError("an http URL is not followed from an https URL")
    return url


def _url(text: str) -> URL:
    # Not encoded again where it can be sent as it is: that would change a signature.
    is_plain = text.isascii() and text.isprintable() and " " not in text
    try:
        url = URL(text, encoded=is_plain)
        _ = url.port  # an invalid one raises only here
    except ValueError:
        raise ValueError("it is not a URL") from None  # the reason may quote it, with its token
    return url


def _check(url: URL) -> URL:
    if url.scheme not in {"http", "https"}:
        raise ValueError(f"a URL with the scheme {url.scheme!r} is not followed")
    if url.user is not None or url.password is not None:
        raise ValueError("a URL with a user or password is not followed")
    if not _HOST.fullmatch((url.raw_host or "").lower()):
        raise ValueError("a URL without a valid host is not followed")
    return url.with_fragment(None)


@frozen
class Trust:
    """The hosts that may receive the credentials: the API's own, Voucherify's, and `trusted_hosts`."""

    _api: URL
    _named: frozenset[str]

    @classmethod
    def from_hosts(cls, api: URL, trusted_hosts: Iterable[str]) -> "Trust":
        """Raises `ConfigurationError` for anything but bare host names, `TypeError` for other types."""
        if isinstance(trusted_hosts, str):
            raise ConfigurationError("trusted_hosts must be a list of host names, not a str")
        if not isinstance(trusted_hosts, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # not every caller checks types
            raise TypeError(f"trusted_hosts must be a list of host names, not {type(trusted_hosts).__name__}")
        hosts = [*trusted_hosts]
        for host in hosts:
            if not isinstance(host, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # the same
                raise TypeError(f"trusted_hosts: a host name must be a str, not {type(host).__name__}")
        names = [host.lower() for host in hosts]
        for name in names:
            if not _HOST.fullmatch(name):
                raise ConfigurationError(f"trusted_hosts: {name!r} is not a bare host name")
        return cls(api, frozenset(names))

    def allows(self, url: URL) -> bool:
        """Whether the credentials may be sent there; without https, only to this machine."""
        host = (url.raw_host or "").lower()
        if url.scheme != "https" and not is_loopback(host):
            return False
        is_voucherify = url.scheme == "https" and (host == _HOME or host.endswith(f".{_HOME}"))
        return is_voucherify or host in self._named or host == (self._api.raw_host or "").lower()
