from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voucherify_exports._files.resume import Identity, ResponseStart, range_headers

ETAG = '"5f1e"'
DATE = "Thu, 01 Jan 2026 00:00:10 GMT"
A_SECOND_BEFORE = "Thu, 01 Jan 2026 00:00:09 GMT"
SAME = Identity(ETAG, 20)
ANY = Identity()

sizes = st.integers(min_value=1, max_value=10**15)


def whole(**headers: str) -> ResponseStart:
    """The start of a 200 response with these headers; underscores stand for hyphens."""
    return ResponseStart.from_headers(200, _named(headers), 0, ANY)


def part(
    content_range: str | None, *, offset: int = 10, wanted: Identity = SAME, **headers: str
) -> ResponseStart:
    """The start of a 206 response with this Content-Range."""
    ranged = {} if content_range is None else {"Content-Range": content_range}
    return ResponseStart.from_headers(206, {**_named(headers), **ranged}, offset, wanted)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class TestRangeHeaders:
    def test_requests_the_rest(self) -> None:
        """With If-Range: without it, the range could be one of another file."""
        assert range_headers(10, SAME) == {"Range": "bytes=10-", "If-Range": ETAG}

    @pytest.mark.parametrize(("offset", "identity"), [(0, SAME), (10, Identity(None, 20)), (0, ANY)])
    def test_requests_the_whole(self, offset: int, identity: Identity) -> None:
        """If nothing was received yet, or there is no validator."""
        assert range_headers(offset, identity) == {}

    def test_a_date_as_validator(self) -> None:
        """A date is sent exactly as the server wrote it."""
        assert range_headers(1, Identity(A_SECOND_BEFORE))["If-Range"] == A_SECOND_BEFORE


class TestWhole:
    def test_starts_at_byte_0(self) -> None:
        """A server may ignore the requested range."""
        headers = {"ETag": '"other"', "Content-Length": "30"}

        assert ResponseStart.from_headers(200, headers, 10, SAME) == ResponseStart(0, Identity('"other"', 30))

    @pytest.mark.parametrize(
        ("headers", "validator"),
        [
            ({}, None),
            ({"ETag": ETAG}, ETAG),
            ({"ETag": "5f1e"}, "5f1e"),
            ({"ETag": 'W/"5f1e"'}, None),
            ({"ETag": ETAG, "Last_Modified": A_SECOND_BEFORE, "Date": DATE}, ETAG),
            ({"ETag": 'W/"5f1e"', "Last_Modified": A_SECOND_BEFORE, "Date": DATE}, A_SECOND_BEFORE),
            ({"Last_Modified": A_SECOND_BEFORE, "Date": DATE}, A_SECOND_BEFORE),
            (
                {"Last_Modified": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": DATE},
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            ({"Last_Modified": DATE, "Date": DATE}, None),
            ({"Last_Modified": DATE, "Date": A_SECOND_BEFORE}, None),
            ({"Last_Modified": A_SECOND_BEFORE}, None),
            ({"Last_Modified": A_SECOND_BEFORE, "Date": "now"}, None),
            ({"Last_Modified": "yesterday", "Date": DATE}, None),
            ({"Date": DATE}, None),
        ],
    )
    def test_has_a_strong_validator(self, headers: dict[str, str], validator: str | None) -> None:
        """A strong ETag, or else a date at least one second before that of the response."""
        assert whole(**headers).identity.validator == validator

    @pytest.mark.parametrize(
        ("length", "size"),
        [
            ("0", 0),
            ("20", 20),
            ("0020", 20),
            ("9" * 18, 10**18 - 1),
            ("9" * 19, None),
            ("", None),
            ("-1", None),
            ("+20", None),
            ("1_0", None),
            ("20, 20", None),
            ("2e1", None),
            ("2\u0660", None),
            ("\u00b2", None),
        ],
    )
    def test_has_the_announced_size(self, length: str, size: int | None) -> None:
        """An invalid Content-Length means that the size is unknown."""
        assert whole(Content_Length=length).identity.size == size

    def test_without_a_size(self) -> None:
        """A chunked body has no size."""
        assert whole() == ResponseStart(0, ANY)

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", " gzip "])
    def test_gzip_has_no_identity(self, encoding: str) -> None:
        """Length and validator describe the compressed bytes, which cannot be resumed."""
        compressed = whole(Content_Encoding=encoding, ETag=ETAG, Content_Length="20")

        assert compressed == ResponseStart(0, ANY, is_gzip=True)

    @pytest.mark.parametrize("encoding", ["identity", "Identity"])
    def test_the_identity_encoding(self, encoding: str) -> None:
        """Some servers send `Content-Encoding: identity`."""
        assert whole(Content_Encoding=encoding, ETag=ETAG) == ResponseStart(0, Identity(ETAG))


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, br", "gzip, gzip"])
def test_an_encoding_that_was_not_requested(status: int, encoding: str) -> None:
    """Its bytes are not those of the file."""
    with pytest.raises(ValueError, match=f"the encoding '{encoding}', which was not requested"):
        ResponseStart.from_headers(
            status, {"Content-Encoding": encoding, "Content-Range": "bytes 10-19/20"}, 10, SAME
        )


class TestPart:
    def test_resumes(self) -> None:
        """The response has the requested rest."""
        assert part("bytes 10-19/20") == ResponseStart(10, SAME)

    def test_its_length_is_not_the_size(self) -> None:
        """The Content-Length of a 206 is that of the range."""
        assert part("bytes 10-19/20", Content_Length="10").identity.size == 20

    def test_adds_the_size(self) -> None:
        """After a chunked body the size was unknown."""
        assert part("bytes 10-19/20", wanted=Identity(ETAG)) == ResponseStart(10, SAME)

    def test_without_a_size(self) -> None:
        """The known size is used, as long as the range reaches the end."""
        assert part("bytes 10-19/*") == ResponseStart(10, SAME)

    @pytest.mark.parametrize("start", [0, 9, 11])
    def test_another_start(self, start: int) -> None:
        """Bytes would be missing or be there twice."""
        with pytest.raises(ValueError, match=f"not requested .*bytes {start}-19/20"):
            part(f"bytes {start}-19/20")

    @pytest.mark.parametrize(
        "content_range", ["bytes 10-20/21", "bytes 10-18/19", "bytes 10-18/*", "bytes 10-20/*"]
    )
    def test_another_size(self, content_range: str) -> None:
        """A file of another size is another file."""
        with pytest.raises(ValueError, match="of another size"):
            part(content_range)

    @pytest.mark.parametrize("wanted", [SAME, Identity(ETAG)])
    def test_an_end_before_the_last_byte(self, wanted: Identity) -> None:
        """The rest after the range would be missing."""
        with pytest.raises(ValueError, match="bytes 10-18/20"):
            part("bytes 10-18/20", wanted=wanted)

    @pytest.mark.parametrize(
        "content_range",
        [
            None,
            "",
            "bytes */20",
            "bytes 10-19",
            "bytes 10-/20",
            "bytes -10/20",
            "bytes=10-19/20",
            "bytes 10-19/20 ",
            "bytes 10-19/20, 10-19/20",
            "bytes +10-19/20",
            "bytes 1_0-19/20",
            "bytes 1\u0660-19/20",
            "items 10-19/20",
            f"bytes 10-19/{'9' * 19}",
        ],
    )
    def test_an_invalid_content_range(self, content_range: str | None) -> None:
        """Without a valid Content-Range the position of the bytes is unknown."""
        with pytest.raises(ValueError, match="the range was not requested"):
            part(content_range)

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
    def test_gzip(self, encoding: str) -> None:
        """A range of compressed bytes cannot follow uncompressed ones."""
        with pytest.raises(ValueError, match="the range was not requested"):
            part("bytes 10-19/20", Content_Encoding=encoding)

    def test_the_whole_file(self) -> None:
        """A range was not requested, but the whole file was sent as one."""
        assert part("bytes 0-19/20", offset=0, wanted=ANY) == ResponseStart(0, Identity(None, 20))

    @given(st.data(), st.booleans())
    def test_any_rest(self, data: Any, is_known: bool) -> None:
        """A valid response is accepted at any offset of any file."""
        size = data.draw(sizes)
        offset = data.draw(st.integers(min_value=0, max_value=size - 1))
        wanted = Identity(ETAG, size if is_known else None)

        start = part(f"bytes {offset}-{size - 1}/{size}", offset=offset, wanted=wanted)

        assert start == ResponseStart(offset, Identity(ETAG, size))

    @given(st.data())
    def test_no_other_start(self, data: Any) -> None:
        """A range from another byte is refused, even if it reaches the end."""
        size = data.draw(sizes)
        offset, start = (data.draw(st.integers(min_value=0, max_value=size - 1)) for _ in range(2))
        assume(start != offset)

        with pytest.raises(ValueError, match="not requested"):
            part(f"bytes {start}-{size - 1}/{size}", offset=offset, wanted=Identity(ETAG, size))

    @given(st.data())
    def test_no_other_end(self, data: Any) -> None:
        """A range that does not reach the last byte is refused."""
        size = data.draw(sizes)
        offset, end = (data.draw(st.integers(min_value=0, max_value=size - 1)) for _ in range(2))
        assume(end != size - 1)

        for total in (size, "*"):
            with pytest.raises(ValueError, match="of another size"):
                part(f"bytes {offset}-{end}/{total}", offset=offset, wanted=Identity(ETAG, size))


class TestProof:
    """A download is resumed only by a response that proves to be of the same file."""

    @pytest.mark.parametrize(
        ("validator", "headers"),
        [
            ('"mine"', {"ETag": '"other"'}),
            ('"mine"', {"ETag": 'W/"mine"'}),
            ("Thu, 01 Jan 2026 00:00:03 GMT", {"Last-Modified": "Thu, 01 Jan 2026 00:00:05 GMT"}),
        ],
    )
    def test_another_version(self, validator: str, headers: dict[str, str]) -> None:
        """A server that ignores If-Range may send another validator."""
        with pytest.raises(ValueError, match="another version"):
            ResponseStart.from_headers(
                206, {"Content-Range": "bytes 10-19/20", **headers}, 10, Identity(validator, 20)
            )

    @pytest.mark.parametrize("headers", [{}, {"ETag": '"mine"'}, {"Last-Modified": "yesterday"}])
    def test_the_same_version(self, headers: dict[str, str]) -> None:
        """A missing validator, or an invalid one, is not a contradiction."""
        wanted = Identity('"mine"', 20)
        assert ResponseStart.from_headers(
            206, {"Content-Range": "bytes 10-19/20", **headers}, 10, wanted
        ) == ResponseStart(10, wanted)

    @pytest.mark.parametrize("content_range", ["bytes 10-5/6", "bytes 10-9/10", "bytes 10-19/*"])
    def test_an_invalid_end(self, content_range: str) -> None:
        """The range ends before its start, or the size is unknown."""
        with pytest.raises(ValueError, match="another size"):
            ResponseStart.from_headers(206, {"Content-Range": content_range}, 10, Identity('"mine"'))

    @pytest.mark.parametrize("etag", ["", " ", '"', '"a b"', "W/", 'W/"weak"', '"\u00e9"'])
    def test_not_a_strong_etag(self, etag: str) -> None:
        """It is not used as a validator."""
        assert ResponseStart.from_headers(200, {"ETag": etag}, 0, Identity()).identity.validator is None
