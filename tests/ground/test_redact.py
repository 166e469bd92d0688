import pytest

from voucherify_exports._ground.redact import Redactor, hide_queries, shorten


class TestShorten:
    @pytest.mark.parametrize(
        ("app_id", "shown"), [("c70a6f00-cf91", "c70a6f…"), ("c70a6f", "c70a6f"), ("app", "app")]
    )
    def test_shows_six_characters(self, app_id: str, shown: str) -> None:
        """An app id is recognisable, and no more."""
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
    def test_cuts_the_query_of_each_url(self, text: str, shown: str) -> None:
        """What follows the question mark of a URL is gone, the rest of the text stays."""
        assert hide_queries(text) == shown


class TestRedactor:
    def test_hides_the_secrets_and_most_of_the_app_id(self) -> None:
        """The token disappears wherever it stands, the app id keeps its beginning."""
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
    def test_hides_what_is_called_a_token(self, text: str) -> None:
        """A token that is not ours is nobody else's business either."""
        assert "abc123" not in Redactor()(text)

    def test_leaves_other_text_alone(self) -> None:
        """Without a secret in it, a text is shown as it came."""
        assert Redactor(["", "s3cret"])("Resource not found") == "Resource not found"

    def test_repr_holds_no_secret(self) -> None:
        """The redactor itself does not tell."""
        assert "s3cret" not in repr(Redactor(["s3cret", "00-cf91"]))

    def test_a_secret_within_another(self) -> None:
        """The longer one is hidden as a whole."""
        assert Redactor(["abc", "abcdef"])("abcdef") == "…"

    def test_what_was_fetched_and_renewed(self) -> None:
        """Tokens that were fetched, and credentials that were replaced, stay hidden for a while."""
        redact = Redactor(["old"]).hiding("token").renewed(["new"])

        assert redact("old token new") == "… … …"
        for number in range(8):
            redact = redact.hiding(f"token-{number}")
        assert redact("old token-0 token-7 new") == "old … … …"
