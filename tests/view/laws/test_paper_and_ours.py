"""A figure of the paper beside ours: one panel or two, whose line is whose, and the caption."""

from dataclasses import dataclass

import pytest

from precsim.evidence.paper import Drawing, exhibit
from precsim.view import paper_and_ours

BITS, SHARE = "P [bits]", "N_eff / N [1]"


@dataclass
class Figure:
    number: str
    shows: str
    published: object
    ours: object


def drawing(x=BITS, y=SHARE, lines=("weights",), points=(), **more):
    curve = ([3, 4], [0.5, 0.8])
    return lambda: Drawing(dict.fromkeys(lines, curve), dict.fromkeys(points, curve), x, y, **more)


def test_the_same_axes_share_a_panel_and_the_same_name_a_hue_the_papers_dashed():
    figure = Figure("F3", "Shares.", drawing(lines=("weights", "KV")), drawing(points=("weights",)))
    spec = paper_and_ours(figure, "They agree.").shown.to_dict()
    scale = spec["layer"][0]["encoding"]["color"]["scale"]
    hue = dict(zip(scale["domain"], scale["range"], strict=True))
    assert set(hue) == {"weights", "paper: weights", "paper: KV"}
    assert hue["weights"] == hue["paper: weights"] != hue["paper: KV"]
    dashed = [layer["mark"] for layer in spec["layer"] if "strokeDash" in layer["mark"]]
    assert [mark["type"] for mark in dashed] == ["line"]
    marks = [layer["mark"] for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert all(mark.get("filled", True) for mark in marks)


def test_marks_of_the_paper_are_open():
    figure = Figure("F9", "P*.", drawing(lines=(), points=("search",)), drawing(lines=(), points=("search",)))
    spec = paper_and_ours(figure, "").shown.to_dict()
    assert sorted(layer["mark"].get("filled", True) for layer in spec["layer"]) == [False, True]


@pytest.mark.parametrize(
    ("ours", "shared"),
    [
        (drawing(y="gap [nats/token]"), {"x"}),
        (drawing(x="D [tokens]", y="gap [nats/token]"), set()),
        (drawing(log_y=True), {"x", "y"}),
        (drawing(lines=tuple("abcdefgh")), {"x", "y"}),
    ],
    ids=["other unit", "other axes", "other scale", "too many curves"],
)
def test_what_does_not_fit_into_one_panel_stands_below_with_the_axes_that_it_shares(ours, shared):
    spec = paper_and_ours(Figure("F1", "Loss.", drawing(), ours), "").shown.to_dict()
    assert [panel["title"] for panel in spec["vconcat"]] == ["by the paper's constants", "our runs"]
    assert {axis for axis, how in spec["resolve"]["scale"].items() if how == "shared"} == shared


def test_the_caption_says_what_is_seen_how_to_read_it_and_whose_it_is():
    whole = paper_and_ours(Figure("F3", "Shares.", drawing(), drawing()), "They agree.", note="Left panel.").caption
    assert whole.message == "The paper's figure 3: Shares. They agree."
    assert whole.reading.startswith("Dashed lines and open marks: the paper's constants.")
    assert whole.reading.endswith("Left panel.")
    assert (whole.paper, whole.ours) == ("Kumar et al. 2024, computed from the constants", "open table, first edition")
    alone = paper_and_ours(Figure("F7", "Damage.", None, drawing()), "").caption
    assert (alone.paper, alone.ours) == ("", "open table, first edition")
    with pytest.raises(ValueError, match="F2 has nothing to draw"):
        paper_and_ours(Figure("F2", "", None, None), "")


@pytest.mark.parametrize("number", ["F3", "F9", "F15", "F16", "F20"])
def test_figures_whose_axes_are_the_same_are_drawn_on_them(number):
    assert "vconcat" not in paper_and_ours(exhibit(number), "").shown.to_dict()
