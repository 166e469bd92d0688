"""The demo, as a new user sees it."""

import re

from cli_process import environment, run, terminal

KINDS = [
    "voucher",
    "redemption",
    "publication",
    "customer",
    "order",
    "points_expiration",
    "voucher_transactions",
]


class TestDemo:
    async def test_in_a_pipe(self) -> None:
        """Without a terminal the demo prints lines: each change, some rows, the requests, the next step."""
        finished = await run("demo", env=environment(FORCE_COLOR="1", PYTHONIOENCODING="ascii"))
        text = finished.out.decode("ascii")
        assert (finished.code, finished.err) == (0, b"")
        assert "\x1b" not in text
        for kind in KINDS:
            statuses = re.findall(rf"^exp_\w{{24}} {kind}: (\w+)$", text, re.MULTILINE)
            assert statuses[-1] == ("ERROR" if kind == "publication" else "DONE")
            assert statuses[:-1] in (["SCHEDULED", "IN_PROGRESS"], ["SCHEDULED"], ["IN_PROGRESS"], [])
        assert text.count("IN_PROGRESS") > 1  # a busy machine may miss some
        assert "The first 3 of 100,000 rows of the customer file:\nName " in text
        assert re.search(
            r"^It took \d+\.\d s and \d+ requests; 1,\d{3} of this minute's 2,000 are left\.$",
            text,
            re.MULTILINE,
        )
        assert text.endswith("  voucherify-exports run redemption -o redemptions.csv\n")
        assert all(len(line) <= 80 for line in text.splitlines() if "\\u" not in line)

    async def test_on_a_terminal(self) -> None:
        """On a terminal there is a live table, whose last state stays; NO_COLOR is honoured."""
        async with terminal("demo", env=environment(NO_COLOR="1")) as screen:
            for status in ("SCHEDULED", "IN_PROGRESS", "DONE"):
                await screen.shows(f" {status} ")
            code = await screen.finish()

        assert code == 0
        table = screen.text[screen.text.rfind("object ") :]
        for kind in KINDS:
            end = "✘ ERROR" if kind == "publication" else "✔ DONE"
            assert re.search(rf"^{kind} +exp_\w{{24}}  {end} +after \d+\.\d s$", table, re.MULTILINE)
        assert re.search(
            r"^7 of 7 finished · \d+\.\d s · \d+ requests · quota left: 1,\d{3} of 2,000$",
            table,
            re.MULTILINE,
        )
        assert "Loyalty Points" in table
        assert "It took " in table
        assert re.findall(rb"\x1b\[[0-9;]*[34][0-9]m", screen.written) == []
