"""The grammar of the planner's fields: what people write is read as meant, and what is unclear is refused."""

from __future__ import annotations

import math

import pytest
from support import browsing

from precsim.view.widget import script

READ = {
    "count": {
        "8": 8.0, "8.03": 8.03, "1e23": 1e23, "1E9": 1e9, "8×10^9": 8e9, "8x10^9": 8e9, "8 * 10^9": 8e9,
        "2^33": 2.0**33,
        "1,000": 1000.0, "1,234,567.5": 1234567.5, "8B": 8e9, "8b": 8e9, "8 G": 8e9, "8.03B": 8.03e9, "15T": 15e12,
        "15t": 15e12, "220M": 220e6, "1.5k": 1500.0, "1.5K": 1500.0, "2P": 2e15, "3E": 3e18, "7 bn": 7e9, "7mn": 7e6,
        "1 tn": 1e12, "8 billion": 8e9, "405B parameters": 405e9, "2T tokens": 2e12, ".5B": 5e8, "5.": 5.0,
        "10^9": 1e9, "10⁹": 1e9, "1.2×10⁹": 1.2e9, "  8B  ": 8e9, "8\u202fB": 8e9,
    },
    "flop": {"1e23 FLOP": 1e23, "1e23 flops": 1e23, "300 ZFLOP": 3e23, "2Y": 2e24,
             "1 PF-day": 8.64e19, "3.5 PFLOP/s-days": 3.024e20},
    "bytes": {"80 GB": 80e9, "80GiB": 80 * 2.0**30, "24G": 24e9, "1.5 TB": 1.5e12, "64 × 80 GB": 5.12e12,
              "8x141gb": 1.128e12, "512 MiB": 2.0**29},
    "hours": {"14 d": 336.0, "14 days": 336.0, "2w": 336.0, "1 week": 168.0, "100 h": 100.0, "1y": 8760.0,
              "30 min": 0.5},
    "dollars": {"$100k": 1e5, "$2.50": 2.5, "100k": 1e5, "2 USD": 2.0, "1M$": 1e6},
    "share": {"40 %": 0.4, "40%": 0.4, "0.4": 0.4, "40": 0.4},
    "bits": {"4": 4.0, "6.5 bits": 6.5, "full": math.inf},
    "widths": {"3, 4, 6-8": [3, 4, 6, 7, 8], "16 4": [4, 16]},
}  # fmt: skip
REFUSED = {
    "count": ["", "x", "eight", "8m", "8,5", "1,00", "-8B", "8BB", "8 GB", "1e", "1e400", "0", "8B9", "nan", "Infinity",
              "2^^3", "1..5",
              "8q", "1e2.5"],
    "flop": ["1e23 GB", "14 d"],
    "bytes": ["80", "80 d", "0 × 80 GB", "×80 GB"],
    "hours": ["14", "14 m", "14 GB"],
    "dollars": ["€100"],
    "share": ["140 %", "0"],
    "bits": ["0", "99"],
    "widths": ["3, x", ","],
}  # fmt: skip
DEVICES = {"h100": "H100 SXM", "a100": "A100", "tpu-v5p": "TPU v5p", "h200-measured": "H200, measured"}
BUDGETS = {
    "64 H100 for 14 days": {"by": "gpus", "gpus": "64", "device": "h100", "time": "14 days"},
    "64xH100 2w": {"by": "gpus", "gpus": "64", "device": "h100", "time": "2w"},
    "64 × H100s for 2 weeks": {"by": "gpus", "gpus": "64", "device": "h100", "time": "2 weeks"},
    "3 A100 days": {"by": "gpus", "gpus": "3", "device": "a100", "time": "1 days"},
    "1,000 A100-hours": {"by": "gpus", "gpus": "1,000", "device": "a100", "time": "1 hours"},
    "16 TPU v5p 1w": {"by": "gpus", "gpus": "16", "device": "tpu-v5p", "time": "1w"},
    "1e23 FLOP": {"by": "flop", "C": "1e23 FLOP"},
    "$100k": {"by": "dollars", "dollars": "$100k"},
}


@pytest.fixture(scope="module")
def page():
    if not browsing.CHROMIUM:
        pytest.skip("issue 6: no Chromium on this machine")
    with browsing.browser() as browser:
        page = browser.new_page()
        page.add_script_tag(content=script("quantity").replace("\nexport ", "\n"))
        yield page


def read(page, text: str, kind: str) -> dict:
    found = page.evaluate("([text, kind]) => read(text, kind)", [text, kind])
    assert set(found) & {"value", "error"}, (text, found)
    return found


@pytest.mark.browser
def test_sixty_ways_to_write_a_quantity_are_read_as_meant(page):
    assert sum(map(len, READ.values())) >= 60
    wrong = {}
    for kind, texts in READ.items():
        for text, true in texts.items():
            if (found := read(page, text, kind)).get("value") != true:
                wrong[kind, text] = found
    assert wrong == {}


@pytest.mark.browser
def test_thirty_that_are_unclear_are_refused_and_say_what_is_expected(page):
    assert sum(map(len, REFUSED.values())) >= 30
    for kind, texts in REFUSED.items():
        for text in texts:
            found = read(page, text, kind)
            assert "value" not in found, (kind, text, found)
            assert "Expected" in found["error"], (kind, text)


@pytest.mark.browser
def test_a_budget_in_words_fills_its_fields(page):
    for text, fields in BUDGETS.items():
        assert page.evaluate("([t, d]) => spokenBudget(t, d)", [text, DEVICES]) == fields, text
    for text in ("64 H100", "64 Z80 for 14 days", "64 H100 for 14", "soon", "$", "x H100 2w"):
        assert "error" in page.evaluate("([t, d]) => spokenBudget(t, d)", [text, DEVICES]), text


@pytest.mark.browser
def test_what_is_written_back_is_read_as_the_same(page):
    for x in (8.03e9, 1.5e13, 2.2e8, 999.9e6, 1e23, 4096.0, 0.00025, 7.0):
        text = page.evaluate("x => short(x)", x)
        assert read(page, text, "count")["value"] == pytest.approx(x, rel=5e-3), (x, text)
    assert page.evaluate("[999.9e6, 1e23, 26.17e9].map((x) => short(x))") == ["1B", "1e23", "26.2B"]
    assert page.evaluate("[0, 0.0382, 1.2154, 24, Infinity].map((x) => percent(x))") == [
        "0",
        "+3.8 %",
        "+122 %",
        "×25",
        "no budget",
    ]
