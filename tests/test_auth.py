from typing import Any

import pytest

from voucherify_exports import AppKeys, BearerToken, ConfigurationError, OAuth
from voucherify_exports._ground.redact import Redactor

APP_ID, APP_TOKEN = "c70a6f00-cf91-4756-9df5-47628850002b", "3266b9f8-e246-4f79-bdf0-833929b1380c"


class TestAppKeys:
    def test_sends_both_keys(self) -> None:
        """The headers are the two that the API requires."""
        assert AppKeys(APP_ID, APP_TOKEN).headers() == {"X-App-Id": APP_ID, "X-App-Token": APP_TOKEN}

    def test_hides_them(self) -> None:
        """Neither the repr nor redacted text shows the token or the whole app id."""
        keys = AppKeys(APP_ID, APP_TOKEN)

        assert repr(keys) == "AppKeys(app_id=c70a6f…)"
        assert Redactor(keys.secrets())(f"{APP_ID} {APP_TOKEN}") == "c70a6f… …"

    @pytest.mark.parametrize(
        ("app_id", "shown"), [("app", "app"), ("my-app-1", "…"), ("my-app-12345", "my-app…")]
    )
    def test_short_app_ids(self, app_id: str, shown: str) -> None:
        """If few characters would be hidden, they are not redacted: they could occur in any text."""
        assert Redactor(AppKeys(app_id, APP_TOKEN).secrets())(app_id) == shown

    @pytest.mark.parametrize("wrong", ["", "two words", "line\n", "\r\nX-Evil: 1", "tab\t", "żółw", "\x00"])
    @pytest.mark.parametrize("name", ["app_id", "app_token"])
    def test_refuses_characters_that_a_header_cannot_contain(self, name: str, wrong: str) -> None:
        """The ConfigurationError names the key and does not show its value."""
        with pytest.raises(ConfigurationError, match=f"^{name} ") as caught:
            AppKeys(**{"app_id": APP_ID, "app_token": APP_TOKEN, name: wrong})

        assert not wrong or wrong not in str(caught.value)

    @pytest.mark.parametrize("wrong", [None, b"bytes", 5])
    def test_refuses_other_types(self, wrong: Any) -> None:
        """A key that is not a str is a TypeError that names the parameter."""
        with pytest.raises(TypeError, match="app_token must be a str"):
            AppKeys(APP_ID, wrong)


class TestBearerToken:
    def test_sends_the_token(self) -> None:
        """The token is sent in the Authorization header."""
        assert BearerToken("abc").headers() == {"Authorization": "Bearer abc"}

    def test_hides_it(self) -> None:
        """Neither the repr nor redacted text shows the token."""
        token = BearerToken("abc")

        assert repr(token) == "BearerToken()"
        assert Redactor(token.secrets())("got abc") == "got …"

    def test_refuses_an_empty_token(self) -> None:
        """An empty token is a ConfigurationError."""
        with pytest.raises(ConfigurationError, match="token is empty"):
            BearerToken("")


class TestOAuth:
    def test_requests_a_token_with_the_keys(self) -> None:
        """A token is requested with the headers of the keys, and the default scope is exports only."""
        auth = OAuth(APP_ID, APP_TOKEN)

        assert auth.headers() == AppKeys(APP_ID, APP_TOKEN).headers()
        assert (auth.scope, auth.revoke_on_close) == ("exports", False)

    def test_hides_them(self) -> None:
        """Neither the repr nor redacted text shows the token or the whole app id."""
        auth = OAuth(APP_ID, APP_TOKEN, "api")

        assert repr(auth) == "OAuth(app_id=c70a6f…, scope='api', revoke_on_close=False)"
        assert Redactor(auth.secrets())(f"{APP_ID} {APP_TOKEN}") == "c70a6f… …"

    @pytest.mark.parametrize("name", ["app_id", "app_token"])
    def test_refuses_characters_that_a_header_cannot_contain(self, name: str) -> None:
        """The app id and token are checked like those of AppKeys."""
        with pytest.raises(ConfigurationError, match=f"^{name} "):
            OAuth(**{"app_id": APP_ID, "app_token": APP_TOKEN, name: "two words"})
