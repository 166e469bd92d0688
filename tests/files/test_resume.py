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
    """What a 200 with these headers brings; underscores stand for dashes."""
    return ResponseStart.from_headers(200, _named(headers), 0, ANY)


def part(
    content_range: str | None, *, offset: int = 10, wanted: Identity = SAME, **headers: str
) -> ResponseStart:
    """What a 206 with this Content-Range brings."""
    ranged = {} if content_range is None else {"Content-Range": content_range}
    return ResponseStart.from_headers(206, {**_named(headers), **ranged}, offset, wanted)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class TestRangeHeaders:
    def test_asks_for_the_rest_of_the_same(self) -> None:
        """With the condition that it is the same: a range alone could be one of another file."""
        assert range_headers(10, SAME) == {"Range": "bytes=10-", "If-Range": ETAG}

    @pytest.mark.parametrize(("offset", "identity"), [(0, SAME), (10, Identity(None, 20)), (0, ANY)])
    def test_asks_for_the_whole(self, offset: int, identity: Identity) -> None:
        """Where nothing is here yet, or nothing proves which file it is of."""
        assert range_headers(offset, identity) == {}

    def test_a_date_will_do(self) -> None:
        """It is sent as the server wrote it."""
        assert range_headers(1, Identity(A_SECOND_BEFORE))["If-Range"] == A_SECOND_BEFORE


class TestWhole:
    def test_begins_at_the_start(self) -> None:
        """A range that was asked for may be ignored."""
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
    def test_is_known_by_a_strong_validator(self, headers: dict[str, str], validator: str | None) -> None:
        """An ETag that is not weak, or else a date of at least a second before the answer's own."""
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
        """What is no number of bytes announces nothing."""
        assert whole(Content_Length=length).identity.size == size

    def test_need_not_announce_a_size(self) -> None:
        """A body may come in chunks."""
        assert whole() == ResponseStart(0, ANY)

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", " gzip "])
    def test_packed_is_not_known_again(self, encoding: str) -> None:
        """Length and validator are of the packed bytes, at which nothing can go on."""
        packed = whole(Content_Encoding=encoding, ETag=ETAG, Content_Length="20")

        assert packed == ResponseStart(0, ANY, is_gzip=True)

    @pytest.mark.parametrize("encoding", ["identity", "Identity"])
    def test_said_to_be_plain(self, encoding: str) -> None:
        """Some say so, though they need not."""
        assert whole(Content_Encoding=encoding, ETag=ETAG) == ResponseStart(0, Identity(ETAG))


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, br", "gzip, gzip"])
def test_an_encoding_that_was_not_asked_for(status: int, encoding: str) -> None:
    """Its bytes would be written as if they were the file's."""
    with pytest.raises(ValueError, match=f"in the encoding '{encoding}', which was not asked for"):
        ResponseStart.from_headers(
            status, {"Content-Encoding": encoding, "Content-Range": "bytes 10-19/20"}, 10, SAME
        )


class TestPart:
    def test_goes_on(self) -> None:
        """The rest of the file that was wanted."""
        assert part("bytes 10-19/20") == ResponseStart(10, SAME)

    def test_its_length_is_not_that_of_the_file(self) -> None:
        """The headers of a part speak of the part."""
        assert part("bytes 10-19/20", Content_Length="10").identity.size == 20

    def test_tells_a_size_that_was_not_known(self) -> None:
        """A body that came in chunks had none."""
        assert part("bytes 10-19/20", wanted=Identity(ETAG)) == ResponseStart(10, SAME)

    def test_need_not_tell_the_size_again(self) -> None:
        """A known one serves, as long as the part goes to its end."""
        assert part("bytes 10-19/*") == ResponseStart(10, SAME)

    @pytest.mark.parametrize("start", [0, 9, 11])
    def test_from_elsewhere(self, start: int) -> None:
        """It would leave a gap, or be there twice."""
        with pytest.raises(ValueError, match=f"not asked for .*bytes {start}-19/20"):
            part(f"bytes {start}-19/20")

    @pytest.mark.parametrize(
        "content_range", ["bytes 10-20/21", "bytes 10-18/19", "bytes 10-18/*", "bytes 10-20/*"]
    )
    def test_of_another_size(self, content_range: str) -> None:
        """It is another file that has another size."""
        with pytest.raises(ValueError, match="of another size"):
            part(content_range)

    @pytest.mark.parametrize("wanted", [SAME, Identity(ETAG)])
    def test_that_ends_before_the_end(self, wanted: Identity) -> None:
        """It would be taken for all the rest."""
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
    def test_that_does_not_say_which(self, content_range: str | None) -> None:
        """Without a proper Content-Range nobody knows where the bytes belong."""
        with pytest.raises(ValueError, match="a part that was not asked for"):
            part(content_range)

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
    def test_packed(self, encoding: str) -> None:
        """A piece of packed bytes cannot follow plain ones."""
        with pytest.raises(ValueError, match="a part that was not asked for"):
            part("bytes 10-19/20", Content_Encoding=encoding)

    def test_of_all(self) -> None:
        """Nothing was asked for by range, and all came as one."""
        assert part("bytes 0-19/20", offset=0, wanted=ANY) == ResponseStart(0, Identity(None, 20))

    @given(st.data(), st.booleans())
    def test_any_rest_of_the_same(self, data: Any, is_known: bool) -> None:
        """The answer of a server that follows the rules is taken, at any offset of any file."""
        size = data.draw(sizes)
        offset = data.draw(st.integers(min_value=0, max_value=size - 1))
        wanted = Identity(ETAG, size if is_known else None)

        start = part(f"bytes {offset}-{size - 1}/{size}", offset=offset, wanted=wanted)

        assert start == ResponseStart(offset, Identity(ETAG, size))

    @given(st.data())
    def test_no_other_start(self, data: Any) -> None:
        """Of the same file, to the same end, but from another byte."""
        size = data.draw(sizes)
        offset, start = (data.draw(st.integers(min_value=0, max_value=size - 1)) for _ in range(2))
        assume(start != offset)

        with pytest.raises(ValueError, match="not asked for"):
            part(f"bytes {start}-{size - 1}/{size}", offset=offset, wanted=Identity(ETAG, size))

    @given(st.data())
    def test_no_other_end(self, data: Any) -> None:
        """From the right byte, but not to the last one."""
        size = data.draw(sizes)
        offset, last = (data.draw(st.integers(min_value=0, max_value=size - 1)) for _ in range(2))
        assume(last != size - 1)

        for total in (size, "*"):
            with pytest.raises(ValueError, match="of another size"):
                part(f"bytes {offset}-{last}/{total}", offset=offset, wanted=Identity(ETAG, size))


class TestProof:
    """A part is gone on with only by what proves that it is of the same file."""

    @pytest.mark.parametrize(
        ("validator", "headers"),
        [
            ('"mine"', {"ETag": '"other"'}),
            ('"mine"', {"ETag": 'W/"mine"'}),
            ("Thu, 01 Jan 2026 00:00:03 GMT", {"Last-Modified": "Thu, 01 Jan 2026 00:00:05 GMT"}),
        ],
    )
    def test_another_version(self, validator: str, headers: dict[str, str]) -> None:
        """A server that ignores If-Range says so itself."""
        with pytest.raises(ValueError, match="another version"):
            ResponseStart.from_headers(
                206, {"Content-Range": "bytes 10-19/20", **headers}, 10, Identity(validator, 20)
            )

    @pytest.mark.parametrize("headers", [{}, {"ETag": '"mine"'}, {"Last-Modified": "yesterday"}])
    def test_the_same_version(self, headers: dict[str, str]) -> None:
        """What is not said, and what is no validator of this file, is no contradiction."""
        wanted = Identity('"mine"', 20)
        assert ResponseStart.from_headers(
            206, {"Content-Range": "bytes 10-19/20", **headers}, 10, wanted
        ) == ResponseStart(10, wanted)

    @pytest.mark.parametrize("content_range", ["bytes 10-5/6", "bytes 10-9/10", "bytes 10-19/*"])
    def test_an_end_that_proves_nothing(self, content_range: str) -> None:
        """Before the start, or of a file whose size nobody has told."""
        with pytest.raises(ValueError, match="another size"):
            ResponseStart.from_headers(206, {"Content-Range": content_range}, 10, Identity('"mine"'))

    @pytest.mark.parametrize("etag", ["", " ", '"', '"a b"', "W/", 'W/"weak"', '"\u00e9"'])
    def test_what_is_no_strong_etag(self, etag: str) -> None:
        """It is not asked with."""
        assert ResponseStart.from_headers(200, {"ETag": etag}, 0, Identity()).identity.validator is None
