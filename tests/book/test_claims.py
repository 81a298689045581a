"""What the pages say of their numbers: bound to them word for word, or counted with a reason."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import captions, prose
from support.places import ROOT

from precsim.evidence import checked, claim, claims, rows
from precsim.view.book import VegaLiteIsland

BOOK = ROOT / "book"
#: Sentences with results that no cell binds, with a reason each. It only ever gets shorter.
ALLOWED = ROOT / "tests" / "book" / "unbound.csv"
REASONS = {
    "by hand": "follows from a formula or definition on the page, or is arithmetic on printed constants",
    "set up": "says what was done, asked or chosen, not what came out",
    "general": "of practice or of other people's models, without a number of ours",
    "open": "a result of ours that is not bound yet",
}
MOST = {"by hand": 78, "set up": 89, "general": 21, "open": 0}
GENERATED = {"appendix/api"}
PAGES = {
    path.relative_to(BOOK).with_suffix("").as_posix(): path
    for path in sorted(BOOK.rglob("*.md"))
    if path.relative_to(BOOK).with_suffix("").as_posix() not in GENERATED
}


def unbound(name: str, path: Path) -> set[str]:
    """Sentences of a page that state a result and are neither quoted by a claim nor sourced."""
    quotes = prose.quoted(path)
    return {
        one.text
        for one in prose.sentences(path, name)
        if one.is_result and not one.is_sourced and not any(q in one.text or one.text in q for q in quotes)
    }


def allowed() -> list[dict[str, str]]:
    with ALLOWED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", PAGES)
def test_a_sentence_with_a_result_is_bound_or_has_a_reason(name):
    excused = {row["sentence"] for row in allowed() if row["page"] == name}
    found = unbound(name, PAGES[name])
    assert found - excused == set(), f"{name}: bind these to their numbers with ps.evidence.claim"
    assert excused - found == set(), f"{name}: bound or gone; take these off {ALLOWED.name}"


def test_the_list_of_unbound_sentences_only_shrinks():
    counts = Counter(row["reason"] for row in allowed())
    assert set(counts) <= set(REASONS)
    assert {reason: counts[reason] for reason in REASONS} == MOST, "write the smaller number here, never a larger one"


@pytest.mark.parametrize("name", PAGES)
def test_a_claim_quotes_its_page_word_for_word(name):
    text = " ".join([prose.paragraphs(PAGES[name]), *captions.messages(PAGES[name])])
    own = {prose.of(captions.message(call)) for call in captions.captions(PAGES[name])}  # a claim that is a caption
    assert [quote for quote in prose.quoted(PAGES[name]) if quote not in text and quote not in own] == []


def test_the_number_of_claims_only_grows():
    assert sum(len(prose.quoted(path)) for path in PAGES.values()) >= 385


PAGE = """---
x: y
---
# A page

Two pages differ by 3 %. A word of no result. It costs {x}.

```{code-cell} ipython3
claim("Two pages differ by 3 %.", True, x=1)
```

The loss falls with data. So {cite}`kumar2024` find twice the loss.

## Exercises

The answer is twice as large.
""".replace("{x}", "half of it")


def test_results_are_found_and_quotations_bind_them(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    assert unbound("page", path) == {"It costs half of it.", "The loss falls with data."}
    path.write_text(PAGE.replace("3 %", "4 %", 1), encoding="utf-8")
    assert "Two pages differ by 4 %." in unbound("page", path)
    assert [q for q in prose.quoted(path) if q not in prose.paragraphs(path)] == ["Two pages differ by 3 %."]


def test_a_sentence_that_no_longer_holds_stops_the_page():
    with pytest.raises(claims.ClaimError, match=r"no longer true: “half as much” \(ratio = 0\.7"):
        claim("half as much", 0.4 < 0.7 < 0.6, ratio=0.7)
    with pytest.raises(ValueError, match="without numbers says nothing"):
        claim("half as much", True)


def test_a_shared_number_names_its_rows():
    with pytest.raises(ValueError, match="gamma_D is printed on other pages too"):
        claim("it rises", True, gamma_D=0.7)
    made = claim("it rises", True, of=rows.damage, by="drawing sizes again", gamma_D=0.736)
    table = rows.damage(rows.open_table())
    count = f"{len(set(table['job'])):,} models, {len(set(table['language_seed']))} languages"
    assert made.source.startswith(f"open table, first edition, rows.damage: {count}")
    assert made.source.endswith("intervals by drawing sizes again")


def test_two_values_of_one_quantity_need_two_selections():
    one = claims.printed("a", [{"numbers": {"gamma_D": "0.74", "x": "1"}, "source": "s"}])
    same = claims.printed("b", [{"numbers": {"gamma_D": "0.71", "x": "2"}, "source": "s"}])
    other = claims.printed("b", [{"numbers": {"gamma_D": "0.71"}, "source": "t"}])
    assert claims.disagreements([*one, *same]) == ["gamma_D is 0.74 on a and 0.71 on b, both of s"]
    assert claims.disagreements([*one, *other]) == []


def test_one_number_has_one_value_however_its_interval_was_made():
    def say(page, value, by):
        return claims.printed(page, [{"numbers": {"C_T": value}, "source": f"s; intervals by {by}"}])

    cells, sizes = say("a", "0.0026 [0.0021, 0.0032]", "cells"), say("b", "0.0026 [0.0009, 0.0081]", "sizes")
    assert claims.disagreements([*cells, *sizes]) == []
    wrong = say("c", "0.0018 [0.0009, 0.0081]", "networks")
    assert claims.disagreements([*cells, *wrong]) == ["C_T is 0.0026 on a and 0.0018 on c, both of s"]
    unlike = say("d", "0.0026 [0.0020, 0.0032]", "cells")
    assert len(claims.disagreements([*cells, *unlike])) == 1


def test_what_is_printed_on_several_pages_has_a_name_that_is_compared():
    """Constants of δ, shares, turns and P*: each in claims of two pages or more, or of one page for two selections."""
    said = Counter(
        name
        for path in PAGES.values()
        for name in set(re.findall(r"^ +(\w+)=", path.read_text(encoding="utf-8"), re.M)) & claims.SHARED
    )
    assert {name for name, pages in said.items() if pages > 1} >= {
        *("gamma_D", "C_T", "gamma_post", "rate_over_theory"),
        *("turns_at_3_bits", "turns_at_4_bits", "best_bits_weights"),
    }


def test_the_mark_opens_the_numbers_and_escapes_them():
    shown = checked(claim("less than *half*", True, share=0.25, of="a <table>"))
    html = shown._repr_mimebundle_()["text/html"]
    assert "<details" in html
    assert "<q>less than half</q> share = 0.25" in html
    assert "a &lt;table&gt;" in html
    assert repr(shown) == "checked: less than *half* (share = 0.25) [a <table>]"


def test_numbers_that_the_build_reads_are_no_output_that_a_page_cannot_show():
    """MyST-NB warned of a type that it did not know, and a warning stops the book."""
    output = SimpleNamespace(mime_type=claims.CLAIMS, content=[])
    assert VegaLiteIsland.handle_mime(None, output, inline=False) == []
    other = SimpleNamespace(mime_type="text/html", content="")
    assert VegaLiteIsland.handle_mime(None, other, inline=False) is None
