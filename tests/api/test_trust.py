import pytest
from yarl import URL

from voucherify_exports import ConfigurationError, ExportsClient
from voucherify_exports._api.trust import Trust, next_url, parse_url

API = URL("https://api.voucherify.io")
SANDBOX = URL("http://127.0.0.1:8080")


class TestTrust:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.voucherify.io/v1",
            "https://api.voucherify.io:8443/v1",
            "https://download.voucherify.io/x",
            "https://us1.download.voucherify.io/x",
            "https://voucherify.io/x",
            "https://DOWNLOAD.Voucherify.IO/x",
            "https://files.example/x",
            "https://FILES.example:444/x",
        ],
    )
    def test_trusted_hosts(self, url: str) -> None:
        """The API's host at any port, Voucherify's hosts and those in `trusted_hosts` are trusted."""
        assert Trust.from_hosts(API, ["files.EXAMPLE"]).allows(parse_url(url))

    @pytest.mark.parametrize(
        "url",
        [
            "https://voucherify.io.evil.example/",
            "https://evilvoucherify.io/",
            "https://evil.example/voucherify.io",
            "https://evil.example/?voucherify.io",
            "https://evil.example/#.voucherify.io",
            "https://sub.files.example/",
            "https://files.example.evil/",
            "https://xn--vucherify-w3e.io/",
            "https://vоucherify.io/",  # noqa: RUF001 - a Cyrillic letter that looks like another
            "http://download.voucherify.io/",
            "http://api.voucherify.io/",
            "http://files.example/",
            "https://127.0.0.1/",
            "https://voucherify.io./",
        ],
    )
    def test_other_hosts(self, url: str) -> None:
        """Hosts with similar names are not trusted, and trusted hosts are not trusted over http."""
        assert not Trust.from_hosts(API, ["files.example"]).allows(parse_url(url))

    def test_loopback_needs_no_encryption(self) -> None:
        """A sandbox on this machine is trusted over http, and another loopback address if it is named."""
        trust = Trust.from_hosts(SANDBOX, [])

        assert trust.allows(URL("http://127.0.0.1:9090/x"))
        assert not trust.allows(URL("http://127.0.0.2:8080/x"))
        assert Trust.from_hosts(SANDBOX, ["127.0.0.2"]).allows(URL("http://127.0.0.2:8080/x"))
        assert Trust.from_hosts(URL("http://[::1]:80"), []).allows(URL("http://[::1]:8080/x"))
        assert Trust.from_hosts(URL("http://localhost:80"), []).allows(URL("http://localhost:8080/x"))

    @pytest.mark.parametrize("wrong", ["https://files.example", "files.example:443", "a b", "", "*.example"])
    def test_refuses_what_is_not_a_bare_host_name(self, wrong: str) -> None:
        """The error names the invalid value."""
        with pytest.raises(ConfigurationError, match="is not a bare host name"):
            ExportsClient("id", "token", trusted_hosts=[wrong])

    def test_refuses_a_single_str(self) -> None:
        """A str is refused, since it would be taken for a list of characters."""
        with pytest.raises(ConfigurationError, match="list of host names"):
            ExportsClient("id", "token", trusted_hosts="files.example")


class TestParseUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "https://h.example/a%2Fb/c?token=a%2Bb+c%20d&X=%7e~",
            "http://127.0.0.1:8080/",
            "https://[2001:db8::1]/x",
        ],
    )
    def test_keeps_the_url_unchanged(self, url: str) -> None:
        """No escape is changed, since the URL may be signed."""
        assert str(parse_url(url)) == url

    def test_encodes_what_a_request_cannot_contain(self) -> None:
        """Line breaks are removed, and spaces and letters beyond ASCII are encoded."""
        assert str(parse_url("https://h.example/ż ó\r\nX: y")) == "https://h.example/%C5%BC%20%C3%B3X:%20y"

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("javascript:alert(1)", "the scheme 'javascript'"),
            ("file:///etc/passwd", "the scheme 'file'"),
            ("data:text/csv,a", "the scheme 'data'"),
            ("/v1/exports/exp_1", "the scheme ''"),
            ("//h.example/x", "the scheme ''"),
            ("", "the scheme ''"),
            ("https:///x", "without a valid host"),
            ("https://user@h.example/", "user or password"),
            ("https://api.voucherify.io:pw@h.example/", "user or password"),
            ("https://voucherify.io%2eevil.example/", "without a valid host"),
            ("https://h.example:99999/", "not a URL"),
            ("https://evil.example\\.voucherify.io/", "not a URL"),
        ],
    )
    def test_refuses_urls_that_are_not_followed(self, url: str, problem: str) -> None:
        """The error says what is wrong with the URL."""
        with pytest.raises(ValueError, match=problem):
            parse_url(url)


class TestNextUrl:
    @pytest.mark.parametrize(
        ("location", "target"),
        [
            ("/b?token=a%2Bb", "https://h.example/b?token=a%2Bb"),
            ("//k.example/b", "https://k.example/b"),
            ("https://k.example/b#part", "https://k.example/b"),
            ("c", "https://h.example/a/c"),
            ("ż", "https://h.example/a/%C5%BC"),
        ],
    )
    def test_is_relative_to_the_present_url(self, location: str, target: str) -> None:
        """A location may be a path or lead to another host."""
        assert str(next_url(URL("https://h.example/a/b?x=1"), location)) == target

    @pytest.mark.parametrize(
        ("location", "problem"),
        [
            ("http://h.example/", "not followed from an https URL"),
            ("file:///x", "scheme"),
            ("https://u:p@h/", "user"),
        ],
    )
    def test_refuses_locations_that_are_not_followed(self, location: str, problem: str) -> None:
        """A redirect from https to http is not followed."""
        with pytest.raises(ValueError, match=problem):
            next_url(URL("https://h.example/"), location)

    def test_may_lead_from_http_to_https(self) -> None:
        """A redirect from http to https is followed."""
        assert next_url(SANDBOX, "https://h.example/").scheme == "https"
