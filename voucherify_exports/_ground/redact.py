"""Keep secrets out of everything that a person may read: messages, reprs, logs and events."""

import re
from collections.abc import Iterable

from attrs import field, frozen

_URL_QUERY = re.compile(r"(https?:[^\s\"'<>?]*)\?[^\s\"'<>]*", re.IGNORECASE)
_NAMED_TOKEN = re.compile(r"(token\\?[\"']?\s*[=:]\s*\\?[\"']?|bearer\s+)[^\s\"'&<>,;}\\]+", re.IGNORECASE)


def shorten(app_id: str) -> str:
    """An app id as it may be shown: its first 6 characters."""
    return app_id if len(app_id) <= 6 else f"{app_id[:6]}…"


def hide_queries(text: str) -> str:
    """The text without the queries of its URLs, which is where download tokens are."""
    return _URL_QUERY.sub(r"\1?…", text)


@frozen
class Redactor:
    """Hides one client's secrets in text that came from elsewhere."""

    _replacements: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, secrets: Iterable[str], app_id: str | None = None) -> "Redactor":
        """Hide the secrets as a whole, the app id but for its first characters."""
        replacements = [(secret, "…") for secret in secrets if secret]
        if app_id:
            replacements.append((app_id, shorten(app_id)))
        return cls(tuple(replacements))

    def hiding(self, secret: str) -> "Redactor":
        """Hide one more secret; of many, the latest few."""
        first, latest = self._replacements[:2], self._replacements[2:][-3:]
        return Redactor((*first, *latest, (secret, "…")))

    def __call__(self, text: str) -> str:
        for secret, shown in self._replacements:
            text = text.replace(secret, shown)
        return _NAMED_TOKEN.sub(r"\1…", hide_queries(text))
