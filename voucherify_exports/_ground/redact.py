"""Keeping secrets out of everything that a person may read: messages, reprs, logs and events."""

import re
from collections.abc import Iterable

from attrs import field, frozen

_URL_QUERY = re.compile(r"(https?:[^\s\"'<>?]*)\?[^\s\"'<>]*", re.IGNORECASE)
_NAMED_TOKEN = re.compile(r"(token\\?[\"']?\s*[=:]\s*\\?[\"']?|bearer\s+)[^\s\"'&<>,;}\\]+", re.IGNORECASE)
_MOST_OTHERS = 8

SHOWN_OF_APP_ID = 6
"""Characters of an app id that may be shown."""


def shorten(app_id: str) -> str:
    """An app id as it may be shown: its first 6 characters."""
    return app_id if len(app_id) <= SHOWN_OF_APP_ID else f"{app_id[:SHOWN_OF_APP_ID]}…"


def hide_queries(text: str) -> str:
    """The text without the queries of its URLs, which is where download tokens are."""
    return _URL_QUERY.sub(r"\1?…", text)


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    # One secret may be part of another one.
    return tuple(sorted(filter(None, secrets), key=len, reverse=True))


@frozen
class Redactor:
    """Hides the secrets of one client in text from elsewhere.

    `secrets` are those of the credentials now, `others` the latest few tokens and credentials besides.
    """

    _secrets: tuple[str, ...] = field(default=(), converter=_longest_first, repr=False)
    _others: tuple[str, ...] = field(default=(), repr=False)

    def hiding(self, secret: str) -> "Redactor":
        """A redactor that hides one more, such as a token that was fetched."""
        return Redactor(self._secrets, (*self._others, secret)[-_MOST_OTHERS:])

    def renewed(self, secrets: Iterable[str]) -> "Redactor":
        """A redactor of the credentials that replace these, which it hides for a while as well."""
        return Redactor(secrets, (*self._others, *self._secrets)[-_MOST_OTHERS:])

    def __call__(self, text: str) -> str:
        for secret in (*self._others, *self._secrets):
            text = text.replace(secret, "…")
        return _NAMED_TOKEN.sub(r"\1…", hide_queries(text))
