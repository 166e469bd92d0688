"""OAuth: the endpoints that issue and revoke tokens, and the scopes of each token."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from attrs import define, field, frozen

from .._data.draws import Draws
from .._http.answers import Answer, RefusedError, json_answer

if TYPE_CHECKING:
    from .._http.requests import SandboxRequest

_TOKENS_OF_A_PROJECT = 1000
SCOPES = frozenset(
    {
        *("api", "assets", "async-actions", "campaigns", "categories", "client_api", "client_consents"),
        *("client_customers", "client_events", "client_promotions", "client_publish"),
        *("client_qualifications", "client_redeem", "client_redemptions", "client_validate"),
        *("client_validations", "client_vouchers", "consents", "customers", "events", "exports"),
        *("locations", "loyalties", "metadata-schemas", "orders", "product-collections", "products"),
        *("promotions", "publications", "qualifications", "redemptions", "referrals", "rewards"),
        *("segments", "SKUs", "task-results", "templates", "trash-bin", "validation-rules-assignments"),
        *("validation-rules", "validations", "vouchers"),
    }
)


@frozen
class _Token:
    scopes: frozenset[str]
    expires_at: float


@define
class IssuedTokens:
    """The tokens that were issued; each is valid for `ttl` seconds."""

    seed: int
    ttl: float
    _tokens: dict[str, _Token] = field(factory=dict[str, _Token], init=False)
    _draws: Draws = field(init=False)
    _client_id: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._draws = Draws(f"{self.seed}/oauth")
        self._client_id = self._draws.text(21)

    def scopes(self, token: str, now: float) -> frozenset[str] | None:
        """Return the scopes of a token, or None when it is unknown or has expired."""
        known = self._tokens.get(token)
        return known.scopes if known is not None and now < known.expires_at else None

    def generate(self, request: SandboxRequest) -> Answer:
        """Answer `POST /v1/oauth/token`."""
        form = _form(request)
        if form.get("grant_type") != "client_credentials":
            raise RefusedError(400, "invalid_grant_type", "Invalid grant_type")
        scope = form.get("scope", "")
        scopes = frozenset(scope.split())
        if not scopes or not scopes <= SCOPES:
            raise RefusedError(400, "invalid_scope", f"Invalid scope: {scope}")
        self._forget_expired(request.at)
        if len(self._tokens) >= _TOKENS_OF_A_PROJECT:
            details = f"A project has up to {_TOKENS_OF_A_PROJECT} tokens"
            raise RefusedError(400, "oauth_tokens_limit_exceeded", "Too many OAuth tokens", details)
        token, expires_at = self._draws.text(50), request.at + self.ttl
        self._tokens[token] = _Token(scopes, expires_at)
        return json_answer(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(self.ttl),
                "expires_at": int(expires_at),
                "client_id": self._client_id,
                "scope": scope,
            }
        )

    def revoke(self, request: SandboxRequest) -> Answer:
        """Answer `POST /v1/oauth/token/revoke`."""
        token = _form(request).get("access_token")
        if token is None:
            raise RefusedError(400, "missing_parameters", "Missing parameters")
        known = self.scopes(token, request.at)
        self._tokens.pop(token, None)
        return Answer(status=404 if known is None else 204)

    def _forget_expired(self, now: float) -> None:
        self._tokens = {text: token for text, token in self._tokens.items() if now < token.expires_at}


def _form(request: SandboxRequest) -> dict[str, str]:
    fields = parse_qs(request.body.decode(errors="replace"), keep_blank_values=True, errors="replace")
    return {name: values[-1] for name, values in fields.items()}
