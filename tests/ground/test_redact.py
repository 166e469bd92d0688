from typing import Any

import pytest

from voucherify_exports._ground.redact import Redactor, hide_queries, shorten


class TestShorten:
    @pytest.mark.parametrize(
        ("app_id", "shown"), [("c70a6f00-cf91", "c70a6f…"), ("c70a6f", "c70a6f"), ("app", "app")]
    )
    def test_shows_six_characters(self, app_id: str, shown: str) -> None:
        """The first six characters of an app id are shown, and no more."""
        assert shorten(app_id) == shown


class TestHideQueries:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("https://d.example/e?token=abc", "https://d.example/e?…"),
            ('{"url": "https://d.example/e?token=abc", "x": 1}', '{"url": "https://d.example/e?…", "x": 1}'),
            (
                "see http://a.example/?x=1 and HTTPS://b.example?y=2.",
                "see http://a.example/?… and HTTPS://b.example?…",
            ),
            ("what? no URL", "what? no URL"),
            ("https://d.example/e", "https://d.example/e"),
        ],
    )
    def test_replaces_the_query_of_each_url(self, text: str, shown: str) -> None:
        """The query of each URL is replaced, and the rest of the text stays."""
        assert hide_queries(text) == shown


class TestRedactor:
    def test_hides_the_secrets_and_most_of_the_app_id(self) -> None:
        """The token is hidden wherever it occurs, and the app id keeps its first six characters."""
        redact = Redactor(["s3cret", "00-cf91"])

        assert redact("Unknown app c70a6f00-cf91 with s3cret!") == "Unknown app c70a6f… with …!"

    @pytest.mark.parametrize(
        "text",
        [
            "/v1/exports/exp_1?token=abc123&x=1",
            '{"access_token": "abc123"}',
            r"{\"token\": \"abc123\"}",
            "X-App-Token: abc123",
            "Authorization: Bearer abc123",
        ],
    )
    def test_hides_the_values_of_properties_named_token(self, text: str) -> None:
        """The value of anything named a token is hidden, even if it is not one of the client's own."""
        assert "abc123" not in Redactor()(text)

    def test_leaves_other_text_unchanged(self) -> None:
        """A text without a secret is unchanged."""
        assert Redactor(["", "s3cret"])("Resource not found") == "Resource not found"

    def test_the_repr_contains_no_secret(self) -> None:
        """The repr of the redactor shows none of its secrets."""
        assert "s3cret" not in repr(Redactor(["s3cret", "00-cf91"]))

    def test_a_secret_within_another(self) -> None:
        """A secret that contains another secret is hidden as a whole."""
        assert Redactor(["abc", "abcdef"])("abcdef") == "…"

    def test_fetched_tokens_and_replaced_credentials(self) -> None:
        """Fetched tokens and replaced credentials stay hidden after newer ones."""
        redact = Redactor(["old"]).hiding("token").renewed(["new"])

        assert redact("old token new") == "… … …"
        for number in range(8):
            redact = redact.hiding(f"token-{number}")
        assert redact("old token-0 token-7 new") == "old … … …"

    def test_a_secret_that_begins_with_an_old_one(self) -> None:
        """A rotated secret is hidden as a whole."""
        assert Redactor(["vault-1"]).renewed(["vault-1-rotated"])("x vault-1-rotated y") == "x … y"

    def test_all_secrets_of_the_generation_before(self) -> None:
        """However many there are, all credentials that were just replaced stay hidden."""
        old = [f"secret-{number:02}" for number in range(12)]

        assert Redactor(old).renewed(["new"])(" ".join(old)) == " ".join(["…"] * 12)

    @pytest.mark.parametrize("wrong", ["s3cret", [7], [b"s3cret"]])
    def test_secrets_are_a_list_of_str(self, wrong: Any) -> None:
        """One str would hide each of its letters."""
        with pytest.raises(TypeError, match="must return a list of str"):
            Redactor(wrong)
