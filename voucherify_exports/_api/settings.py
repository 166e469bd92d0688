"""What a client is configured with, checked before anything is sent."""

import re

from yarl import URL

from ..auth import AppKeys, Auth
from ..errors import ConfigurationError
from .trust import is_loopback


def choose_auth(app_id: str | None, app_token: str | None, auth: Auth | None) -> Auth:
    if auth is not None:
        if app_id is not None or app_token is not None:
            raise ConfigurationError("give either app_id and app_token, or auth, not both")
        return auth
    if app_id is None or app_token is None:
        missing = "app_id" if app_id is None else "app_token"
        raise ConfigurationError(f"{missing} is missing: give app_id and app_token, or auth")
    return AppKeys(app_id, app_token)


def cluster_url(cluster: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", cluster):
        raise ConfigurationError(f"cluster {cluster!r} is not like 'api', 'us1.api' or 'as1.api'")
    return f"https://{cluster}.voucherify.io"


def check_base_url(given: str | URL) -> URL:
    try:
        url = URL(given)
        host = url.host
    except ValueError:
        raise ConfigurationError("base_url is not a URL") from None
    if url.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("base_url must be like 'https://api.voucherify.io'")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise ConfigurationError("base_url must have no user, password, query or fragment")
    if url.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"base_url must be https for the host {host!r}: the credentials would travel in the clear"
        )
    return URL(str(url).rstrip("/"))


def check_range(
    name: str,
    value: float,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> None:
    # Written so that NaN, which is neither, is refused.
    fits = (above is None or value > above) and (least is None or value >= least)
    if not (fits and (most is None or value <= most) and value == value):
        raise ConfigurationError(f"{name} cannot be {value!r}")
