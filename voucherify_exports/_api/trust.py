"""Which hosts may see the credentials, and which URLs are followed at all; no I/O."""

import ipaddress
import re
from collections.abc import Iterable

from attrs import frozen
from yarl import URL

from ..errors import ConfigurationError

_HOME = "voucherify.io"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:]+:[0-9a-f:.]*")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_url(text: str) -> URL:
    """The URL exactly as it is written; `ValueError` says what is wrong with one that cannot be followed."""
    return _check(_url(text))


def next_url(before: URL, location: str) -> URL:
    """Where a redirect leads; `ValueError` for what is not followed."""
    target = _url(location)
    url = _check(target if target.scheme else before.join(target))
    if before.scheme == "https" and url.scheme != "https":
        raise ValueError("a URL without encryption is not followed from one with it")
    return url


def _url(text: str) -> URL:
    # Taken as it is where that can be sent: a signature may be of every character.
    is_plain = text.isascii() and text.isprintable() and " " not in text
    try:
        url = URL(text, encoded=is_plain)
        _ = url.port  # a wrong one shows only now
    except ValueError:
        raise ValueError("that is no URL") from None  # the reason may quote it, token and all
    return url


def _check(url: URL) -> URL:
    if url.scheme not in {"http", "https"}:
        raise ValueError(f"a URL of the scheme {url.scheme!r} is not followed")
    if url.user is not None or url.password is not None:
        raise ValueError("a URL with a user or password is not followed")
    if not _HOST.fullmatch((url.raw_host or "").lower()):
        raise ValueError("a URL without a proper host is not followed")
    return url.with_fragment(None)


@frozen
class Trust:
    """Who may see the credentials: the API's own host, hosts of Voucherify's, and those that were named."""

    _api: URL
    _named: frozenset[str]

    @classmethod
    def of(cls, api: URL, trusted_hosts: Iterable[str]) -> "Trust":
        """`ConfigurationError` for what is not the bare name of a host."""
        if isinstance(trusted_hosts, str):
            raise ConfigurationError("trusted_hosts must be several names, not one str")
        names = [host.lower() for host in trusted_hosts]
        for name in names:
            if not _HOST.fullmatch(name):
                raise ConfigurationError(f"trusted_hosts: {name!r} is not the bare name of a host")
        return cls(api, frozenset(names))

    def allows(self, url: URL) -> bool:
        """Whether the credentials may be sent there; in the clear, to this machine alone."""
        host = (url.raw_host or "").lower()
        if url.scheme != "https" and not is_loopback(host):
            return False
        is_voucherify = url.scheme == "https" and (host == _HOME or host.endswith(f".{_HOME}"))
        return is_voucherify or host in self._named or host == (self._api.raw_host or "").lower()
