"""What is drawn are values of the package: pixels are turned back into values and compared with them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from xml.etree import ElementTree

import numpy as np
import pytest
from support.drawings import GALLERY, RECIPES, SAID, SEEN, TOY, TRUE

import precsim as ps
from precsim import laws
from precsim.view import drawings as draw
from precsim.view.drawings import pictures, trees
from precsim.view.drawings.block import PLACES
from precsim.view.drawings.canvas import Canvas, Scale

SVG = "{http://www.w3.org/2000/svg}"
BOTH = ("wide", "narrow")


def picture(name: str, layout: str, frame: int = 0) -> ElementTree.Element:
    """One picture of a drawing of the gallery, parsed."""
    made = GALLERY[name]().frames[frame]
    return ElementTree.fromstring(getattr(made, layout).svg(made.label, made.description))


def of(svg: ElementTree.Element, tag: str, looks: str) -> list[ElementTree.Element]:
    """Elements whose class has all of these names."""
    wanted = set(looks.split())
    return [e for e in svg.iter(SVG + tag) if wanted <= set(e.get("class", "").split())]


def numbers(found: Iterable[ElementTree.Element], name: str) -> np.ndarray:
    return np.array([float(e.get(name)) for e in found])


def words(svg: ElementTree.Element) -> list[str]:
    return ["".join(e.itertext()) for e in svg.iter(SVG + "text")]


def on_line(pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How far pixels are from a straight line of the values, in pixels."""
    slope, start = np.polyfit(values, pixels, 1)
    return np.abs(pixels - (slope * values + start))


@pytest.mark.parametrize("name", GALLERY)
def test_a_drawing_has_words_two_layouts_and_colors_by_name_only(name):
    made = GALLERY[name]()
    assert made.message.endswith(".")
    assert made.reading.endswith(".")
    for frame in made.frames:
        assert len(frame.description) >= 40
        assert (frame.wide.width, frame.narrow.width) == (688, 350)
    assert "#" not in made.html.replace("data:image/png;base64", "").replace("&#", "")
    assert " id=" not in made.html, "two drawings of a page would share it"


@pytest.mark.parametrize("layout", BOTH)
def test_ticks_of_common_end_are_the_values_of_the_formats(layout):
    svg = picture("common_end", layout)
    for fmt in (ps.INT2, ps.INT3, ps.INT4, ps.INT5):
        ticks = numbers(of(svg, "line", f"tick b{fmt.bits}"), "x1")
        inside = fmt.values()[np.abs(fmt.values()) <= fmt.maximum]
        assert len(ticks) == len(inside)
        assert on_line(np.sort(ticks), np.unique(inside)).max() < 0.01
        (step,) = of(svg, "line", f"step b{fmt.bits}")
        assert float(step.get("x2")) - float(step.get("x1")) == pytest.approx(np.diff(np.sort(ticks))[0], abs=0.02)


@pytest.mark.parametrize("layout", BOTH)
def test_dots_of_divide_round_multiply_are_what_the_quantizer_gives(layout):
    svg, w = picture("divide_round_multiply", layout), np.array([-0.52, -0.31, -0.08, 0.14, 0.43, 0.70])
    kept = np.asarray(ps.Quantizer(ps.INT4, ps.PerTensor())(w))
    rows = [numbers(of(svg, "circle", f"dot row{i}"), "cx") for i in range(4)]
    pixels = (rows[0][-1] - rows[0][0]) / (w[-1] - w[0])
    for row, values in zip(rows, (w, w, kept, kept), strict=True):
        assert row - rows[0][0] == pytest.approx((values - w[0]) * pixels, abs=0.02)
    bars = numbers(of(svg, "rect", "error"), "height")
    assert bars / bars.max() == pytest.approx(np.abs(kept - w) / np.abs(kept - w).max(), abs=0.01)


@pytest.mark.parametrize("layout", BOTH)
def test_groups_and_bits_of_shared_scales(layout):
    svg = picture("shared_scales", layout)
    cells = of(svg, "path", "cell")
    assert len(of(svg, "rect", "scale")) == 1 + 4 + 8 + 16 + 1  # tensor, rows, blocks of 32, blocks of 16, one outer
    assert len(cells) == 4 + 4 + 8 + 16
    assert {"4.25 bits per weight", "4.5 bits per weight", "4.008 bits per weight"} <= set(words(svg))
    assert (ps.MXFP4.bits, ps.NVFP4.bits) == (4.25, 4.5)


@pytest.mark.parametrize("layout", BOTH)
def test_a_block_has_as_many_bits_as_are_stored(layout):
    svg = picture("block_memory", layout)
    assert len(of(svg, "rect", "bit")) == 32 * ps.MXFP4.bits + 16 * ps.NVFP4.bits
    assert len(of(svg, "rect", "bit scale")) == 8 + 8


def test_a_block_needs_blocks():
    with pytest.raises(ValueError, match="per block and in two levels"):
        draw.block_memory({"INT4": ps.Quantizer(ps.INT4, ps.PerTensor())})


@pytest.mark.parametrize("layout", BOTH)
@pytest.mark.parametrize("frame", range(len(RECIPES)))
def test_the_numbers_of_the_block_are_colored_where_the_recipe_rounds(layout, frame):
    svg, recipe = picture("transformer_block", layout, frame), list(RECIPES.values())[frame]
    for kind in PLACES:
        marks = of(svg, "circle", kind)
        assert marks
        looks = {"after" in e.get("class").split() for e in marks}
        assert looks == {getattr(recipe, kind) is not None}
    assert len(of(svg, "circle", "activations")) == 4  # one before each product with weights


@pytest.mark.parametrize("layout", BOTH)
def test_trees_have_a_circle_for_each_term_and_sum(layout):
    svg = picture("summation_trees", layout)
    assert len(of(svg, "circle", "term")) == 3 * 8
    assert len(of(svg, "circle", "sum")) == 3 * 7
    assert len(of(svg, "circle", "sum after")) == 7 + 3 + 4


@pytest.mark.parametrize(
    ("tree", "accumulator"),
    [
        (trees.chained(0, 8), ps.arithmetic.Accumulator(ps.BF16)),
        (trees.pairwise(0, 8), ps.arithmetic.Accumulator(ps.BF16, ps.arithmetic.Order.PAIRWISE)),
        (trees.blocked(0, 8, 4), ps.arithmetic.Accumulator(ps.BF16, ps.arithmetic.Order.BLOCKED, block=4)),
    ],
)
def test_a_tree_adds_as_the_package_does(tree, accumulator):
    def added(part, terms):
        if isinstance(part, int):
            return terms[part]
        return float(ps.round_to(np.array([added(part[0], terms) + added(part[1], terms)]), ps.BF16)[0])

    rng = np.random.default_rng(0)
    for _ in range(200):
        terms = ps.round_to(rng.standard_normal(8), ps.BF16)
        assert added(tree, terms) == ps.arithmetic.total(terms, accumulator)


@pytest.mark.parametrize("layout", BOTH)
def test_where_a_sum_stops_has_the_format_s_numbers_and_its_sum(layout):
    svg = picture("where_a_sum_stops", layout)
    (stays,) = of(svg, "circle", "kept stroke")
    sums = of(svg, "circle", "sum")
    assert (stays.get("cx"), stays.get("cy")) == (sums[-1].get("cx"), sums[-1].get("cy"))
    assert len(of(svg, "line", "tick")) == 10 + 5 + 3  # steps of a half, one and two within 4.6
    assert float(ps.round_to(np.array([257.0]), ps.BF16)[0]) == 256


@pytest.mark.parametrize("layout", BOTH)
def test_bars_of_the_task_are_probabilities(layout):
    svg = picture("the_task", layout)
    facts = np.argsort(-SEEN, kind="stable")[[0, 9, 99, 999]]
    top = [np.argsort(-TRUE[k], kind="stable")[:3] for k in facts]
    wanted = np.concatenate([TRUE[k][t] for k, t in zip(facts, top, strict=True)])
    bars = numbers(of(svg, "rect", "true"), "width")
    assert bars / bars.max() == pytest.approx(wanted / wanted.max(), abs=0.02)
    heard = np.concatenate([SAID[k][t] for k, t in zip(facts, top, strict=True)])
    assert numbers(of(svg, "rect", "said"), "width") == pytest.approx(
        np.maximum(heard * bars.max() / wanted.max(), 1), abs=0.1
    )


@pytest.mark.parametrize("layout", BOTH)
@pytest.mark.parametrize("frame", range(5))
def test_the_walk_ends_on_the_curve_of_full_precision(layout, frame):
    svg, b = picture("smaller_network", layout, frame), frame + 2
    sizes, gaps = zip(*GALLERY_SIZES, strict=True)
    points = of(svg, "circle", "full point")
    across, up = numbers(points, "cx"), numbers(points, "cy")
    (ring,) = of(svg, "circle", "ring")
    share = float(TOY.n_eff(24_576, weights=b)) / 24_576
    lines = [e for e in of(svg, "line", "thin dashed")]
    foot = numbers(lines, "x1")
    per_log = np.polyfit(np.log(sizes), across, 1)
    assert foot == pytest.approx(np.polyval(per_log, np.log([24_576, share * 24_576])), abs=0.1)
    per_nat = np.polyfit(gaps, up, 1)
    here = float(TOY(24_576, 2e7, weights=b))
    assert float(ring.get("cy")) == pytest.approx(np.polyval(per_nat, here), abs=0.1)
    assert here == pytest.approx(float(TOY(share * 24_576, 2e7)), rel=1e-9)


GALLERY_SIZES = [(n, 1.01 * float(TOY(n, 2e7))) for n in 6144 * 2.0 ** np.arange(8)]


@pytest.mark.parametrize("layout", BOTH)
def test_the_diamond_of_three_strokes_is_the_least_of_the_sum(layout):
    for frame, b in enumerate((3, 4, 5)):
        svg = picture("three_strokes", layout, frame)
        (turn,) = of(svg, "path", "turn")
        ticks = [e for e in svg.iter(SVG + "text") if e.text in ("1M", "10M", "100M")]
        per_log = np.polyfit(np.log([1e6, 1e7, 1e8]), numbers(ticks, "x"), 1)
        x = float(turn.get("d")[1:].split("L")[1].split()[0])
        assert x == pytest.approx(np.polyval(per_log, np.log(laws.critical_tokens(TOY, N=24_576, post=b))), abs=0.2)


def test_a_png_is_read_back_as_it_was_written():
    shades = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = pictures.png(shades, bytes(range(36)))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        found[kind], at = body, at + 12 + size
    assert struct.unpack(">II", found[b"IHDR"][:8]) == (4, 3)
    lines = zlib.decompress(found[b"IDAT"])
    assert [lines[i * 5 + 1 : i * 5 + 5] for i in range(3)] == [bytes(row) for row in shades]
    with pytest.raises(ValueError, match="square"):
        draw.posterised(np.ones((8, 16)), (ps.INT2,))


def test_scales_markup_and_labels():
    assert Scale((1, 1e4), (0, 100), log=True)(1e3) == pytest.approx(75)
    sheet = Canvas(10, 10)
    sheet.text(0, 0, "*N*_{eff} & 4^{−*P*}")
    (text,) = ElementTree.fromstring(sheet.svg("t", "")).iter(SVG + "text")
    assert "".join(text.itertext()) == "Neff & 4−P"
    shifts = [float(e.get("dy", 0)) for e in text]
    assert shifts == [0, 4, -4, -5], "what goes down comes up again"
    with pytest.raises(ValueError, match="one to eight"):
        draw.Drawing("no picture", (), "Nothing.")
    with pytest.raises(ValueError, match="40 letters"):
        draw.Drawing("mute", (draw.Frame("a", sheet, sheet, "short"),), "Nothing.")
