"""Captions: what is given goes before what a view says itself, nothing may be missing, a notebook shows them too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import precsim as ps
from precsim.view import captioned
from precsim.view.book import VegaLiteIsland
from precsim.view.captions import caption_html
from precsim.view.table import Table
from precsim.view.theme import CAPTION, TABLE, VEGA_LITE, WIDGET, enable

TABLE_OF_ONE = Table(("x",), (("1",),), "Numbers.")


@pytest.fixture
def published(monkeypatch):
    """What a notebook is told to show."""
    found: list[dict] = []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, *_, **__: found.append(data))
    return found


def chart():
    enable()
    return ps.view.number_line(ps.FP4_E2M1)


def shown(data: dict, mime: str, numbers: dict | None = None) -> str:
    """What the book's plug-in makes of an output; numbers of the page are kept in the document."""
    document = {"source": "book/1-numbers/page.md", **(numbers or {})}
    renderer = SimpleNamespace(renderer=SimpleNamespace(document=document))
    nodes = VegaLiteIsland.handle_mime(renderer, SimpleNamespace(mime_type=mime, content=data[mime]), inline=False)
    return nodes[0].astext()


def test_a_chart_and_its_caption_are_two_outputs_of_a_notebook_and_one_figure_of_the_book(published):
    captioned(chart(), "Ticks.", reading="A tick: a value.", computed="exact")._ipython_display_()
    first, second = published
    assert first[VEGA_LITE]["usermeta"]["caption"] == {
        "message": "Ticks.",
        "reading": "A tick: a value.",
        "computed": "exact",
    }
    assert "<strong>Ticks.</strong> A tick: a value." in second["text/html"]
    html = shown(first, VEGA_LITE)
    assert html.startswith('<figure class="ps-figure" id="page-figure-1"><div class="ps-chart"')
    assert 'href="#page-figure-1">Figure 1</a> <strong>Ticks.</strong> A tick: a value. <span class="ps-from">' in html
    assert shown(second, CAPTION) == ""


def test_a_widget_and_a_table_are_captioned_in_their_own_output(published):
    captioned(ps.view.bit_flipper(ps.FP4_E2M1), "Bits.", reading="Boxes.", computed="exact")._ipython_display_()
    assert "Figure 3</a> <strong>Bits.</strong>" in shown(published[0], WIDGET, {"ps-numbers": {"Figure": 2}})
    table = captioned(TABLE_OF_ONE, paper="Kumar et al. 2024")
    html = shown(table._repr_mimebundle_(), TABLE, {"ps-numbers": {"Figure": 2}})
    assert 'href="#page-table-1">Table 1</a> <strong>Numbers.</strong>' in html
    assert "<caption>" not in html
    assert "[paper] Kumar et al. 2024" in table._repr_html_()
    assert str(table).endswith("[paper] Kumar et al. 2024")


def test_the_first_sentence_of_a_tables_caption_is_its_message():
    table = Table(("x",), (("1",),), "Gaps [nats/token]; means of six runs. The law says 0.", toy="made here")
    caption = table._repr_mimebundle_()[TABLE]["caption"]
    assert caption == {
        "message": "Gaps [nats/token];",
        "reading": "means of six runs. The law says 0.",
        "toy": "made here",
    }


def test_what_is_given_goes_before_what_the_view_says():
    own = chart().properties(usermeta={"caption": {"message": "Own.", "reading": "Of the view.", "toy": "here"}})
    kept = {"message": "Own.", "reading": "Of the view.", "toy": "here"}
    assert captioned(own).caption.data == kept
    assert captioned(own, "Given.", ours="2 models").caption.data == {**kept, "message": "Given.", "ours": "2 models"}
    claim = SimpleNamespace(sentence="A claim.")
    assert captioned(own, claim).caption.message == "A claim."


@pytest.mark.parametrize(
    ("what", "given", "lacks"),
    [
        ("chart", {"reading": "Dots.", "toy": "here"}, "needs a message"),
        ("bare", {"message": "M.", "toy": "here"}, "needs a reading"),
        ("chart", {"message": "M.", "reading": "Dots."}, "needs a source"),
        ("table", {}, "needs a source: paper=, ours=, toy= or computed=; 'Numbers.'"),
    ],
)
def test_a_caption_that_lacks_something_is_refused(what, given, lacks):
    some = {"chart": chart, "bare": lambda: SimpleNamespace(), "table": lambda: TABLE_OF_ONE}[what]()
    with pytest.raises(ValueError, match=lacks):
        captioned(some, **given)


def test_sources_stand_in_one_order():
    html = caption_html({"computed": "c", "message": "m", "ours": "o", "paper": "p", "toy": "t"})
    assert [html.index(f"ps-{name}") for name in ("paper", "ours", "toy", "computed")] == sorted(
        html.index(f"ps-{name}") for name in ("paper", "ours", "toy", "computed")
    )


def test_words_of_a_caption_are_escaped():
    assert "&lt;b&gt;" in caption_html({"message": "<b>", "toy": "x"})
    assert "<i>" not in caption_html({"message": "m", "paper": "<i>"})


def test_powers_subscripts_and_code_are_marked_and_names_with_underscores_are_not():
    html = caption_html({"message": "2^-9 of N_eff in FP8_E4M3, by `ps.two_ways`", "ours": "rows.two_ways"})
    assert "2<sup>-9</sup> of N<sub>eff</sub> in FP8_E4M3, by <code>ps.two_ways</code>" in html
    assert html.endswith("</b> rows.two_ways</span>")
