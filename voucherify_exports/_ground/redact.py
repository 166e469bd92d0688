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


def _check_secrets(secrets: Iterable[str]) -> tuple[str, ...]:
    given = [] if isinstance(secrets, str) else [*secrets]
    if isinstance(secrets, str) or not all(isinstance(each, str) for each in given):  # pyright: ignore[reportUnnecessaryIsInstance]  # the caller's class may return anything
        raise TypeError("secrets() must return a list of str")
    return tuple(filter(None, given))


@frozen
class Redactor:
    """Hides the secrets of one client in text from elsewhere.

    `secrets` are those of the credentials now. `others` are tokens that were fetched since, and the
    credentials before these.
    """

    _secrets: tuple[str, ...] = field(default=(), converter=_check_secrets, repr=False)
    _others: tuple[str, ...] = field(default=(), repr=False)

    def hiding(self, secret: str) -> "Redactor":
        """A redactor that hides one more, such as a token that was fetched; of many, the latest."""
        return Redactor(self._secrets, (*self._others, secret)[-_MOST_OTHERS:])

    def renewed(self, secrets: Iterable[str]) -> "Redactor":
        """A redactor of the credentials that replace these, which it hides for a while as well."""
        return Redactor(secrets, (*self._others[-_MOST_OTHERS:], *self._secrets))

    def __call__(self, text: str) -> str:
        # The longest first: one secret may be part of another one.
        for secret in sorted({*self._others, *self._secrets}, key=len, reverse=True):
            text = text.replace(secret, "…")
        return _NAMED_TOKEN.sub(r"\1…", hide_queries(text))
