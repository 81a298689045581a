"""What is drawn are values of the package: pixels are turned back into values and compared with them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest
from support.drawings import FACTORS, GALLERY, GRADIENTS, RECIPES, REGIONS, SAID, SAYINGS, SEEN, TOY, TRUE
from support.places import ROOT

import precsim as ps
from precsim import laws
from precsim.laws.published import KUMAR_2024
from precsim.models import recipes, training_recipes
from precsim.planning import B200, H200
from precsim.planning.serving import LLAMA3_8B
from precsim.view import drawings as draw
from precsim.view.drawings import alignment, pictures, trees
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


def test_every_drawing_is_in_the_gallery_and_on_a_page():
    made = {name for name in draw.__all__ if name[0].islower() and name != "drawn"}
    assert made == set(GALLERY), "what is not in the gallery is not looked at in a browser"
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book").rglob("*.md"))
    assert [name for name in made if f"drawings.{name}(" not in pages] == []


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


#: What each recipe rounds, as its documentation says.
ROUNDED = {
    "Kumar, 4 bits": {"weights", "activations", "kv"},
    "FP8": {"weights", "activations", "gradients"},
    "MXFP4": {"weights", "activations", "gradients"},
    "NVFP4": {"weights", "activations", "gradients"},
    "BF16 master": {"master"},
    "float32": set(),
}


@pytest.mark.parametrize("layout", BOTH)
@pytest.mark.parametrize("frame", range(len(RECIPES)))
def test_the_numbers_of_the_block_are_colored_where_the_recipe_rounds(layout, frame):
    svg = picture("transformer_block", layout, frame)
    for kind in PLACES:
        marks = of(svg, "circle", kind)
        assert marks
        looks = {"after" in e.get("class").split() for e in marks}
        assert looks == {kind in ROUNDED[list(RECIPES)[frame]]}
    assert len(of(svg, "circle", "activations")) == 4  # one before each product with weights


def test_the_legend_names_what_the_recipe_rounds():
    made = draw.transformer_block(
        {
            "paper": recipes.kumar(weights=ps.INT4, activations=ps.INT8),
            "master": ps.Recipe(master=recipes.Stored(ps.BF16, ps.Rounding.STOCHASTIC_A)),
            "blocks": recipes.everywhere(ps.MXFP4),
            "FP8": training_recipes.fp8_per_tensor(unit=ps.arithmetic.H100_FP8),
            "MXFP4": training_recipes.mxfp4(),
        }
    )
    paper, master, blocks, fp8, mxfp4 = (words(ElementTree.fromstring(frame.wide.svg("", ""))) for frame in made.frames)
    assert {"INT8, one scale per tensor", "INT4, one per output"} <= set(paper)
    assert "BF16, stochastic" in master
    assert "FP4 E2M1, blocks of 32" in blocks
    assert {"FP8 E4M3, one scale per tensor", "FP8 E5M2, one scale per tensor", "13 bits behind the largest"} <= set(
        fp8
    )
    assert "FP4 E2M1, blocks of 32, stochastic" in mxfp4
    with pytest.raises(ValueError, match="one to eight"):
        draw.transformer_block({})


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


@pytest.mark.parametrize("layout", BOTH)
def test_boxes_of_the_bits_are_the_codes(layout):
    svg = picture("bit_layout", layout)
    for fmt in (ps.FP16, ps.BF16, ps.FP8_E4M3):
        assert f"{int(ps.encode(np.array([np.pi]), fmt)[0]):0{fmt.bits}b}" in bits_of(svg)
    with pytest.raises(ValueError, match="not a normal number"):
        draw.bit_layout(1e-9, (ps.FP8_E4M3,))


def bits_of(svg: ElementTree.Element) -> list[str]:
    """The digits in the boxes of each line."""
    lines: dict[str, list[tuple[float, str]]] = {}
    for text in of(svg, "text", "digits"):
        lines.setdefault(text.get("y"), []).append((float(text.get("x")), text.text))
    return ["".join(bit for _, bit in sorted(line)) for line in lines.values()]


@pytest.mark.parametrize("layout", BOTH)
def test_ticks_and_treads_of_the_ladder_are_the_format(layout):
    svg, values = picture("ulp_ladder", layout), np.unique(np.abs(ps.FP6_E2M3.values()))
    ticks = np.sort(numbers(of(svg, "line", "tick"), "x1"))
    assert on_line(ticks, values).max() < 0.01
    pixel = (ticks[-1] - ticks[0]) / values[-1]
    treads = of(svg, "line", "tread")
    heights = 168 - numbers(treads, "y1") if layout == "wide" else 150 - numbers(treads, "y1")
    middles = (numbers(treads, "x1") + numbers(treads, "x2")) / 2
    steps = ps.ulp((middles - ticks[0]) / pixel, ps.FP6_E2M3)
    assert heights / heights.max() == pytest.approx(steps / steps.max(), abs=0.01)


@pytest.mark.parametrize("layout", BOTH)
def test_ways_of_the_modes_are_what_they_round_to(layout):
    svg = picture("neighbors_taken", layout)
    ways = of(svg, "line", "way")
    assert len(ways) == 6 * 2 * 2
    up = {"after" in way.get("class").split() for way in ways if way.get("y1") == ways[0].get("y1")}
    assert up == {True, False}, "to nearest, one half goes up"
    rows = sorted({float(way.get("y1")) for way in ways})
    all_up = [way for way in ways if float(way.get("y1")) == rows[3]]
    assert all("after" in way.get("class").split() for way in all_up), "the fourth mode is up"
    ties = of(svg, "circle", "tie after")
    even = sum(float(t.get("cy")) == rows[0] for t in ties)
    assert even == (float(ps.round_to(np.array([2.5]), ps.FP4_E2M1)[0]) == 3) + (
        float(ps.round_to(np.array([-2.5]), ps.FP4_E2M1)[0]) == -2
    )


@pytest.mark.parametrize("layout", BOTH)
def test_prices_are_those_of_the_machine(layout):
    svg = picture("multiplier", layout)
    prices = [B200.price(b) for b in (16, 12, 8, 6, 4)]
    bars = numbers(of(svg, "rect", "price"), "height")
    assert bars / bars[0] == pytest.approx(prices, abs=0.01)
    assert len(of(svg, "path", "cell")) == 16 + 12 + 8 + 6 + 4


@pytest.mark.parametrize("layout", BOTH)
def test_times_of_a_step_are_bytes_over_bandwidth_or_operations_over_rate(layout):
    svg = picture("roofline", layout)
    said = [text for text in words(svg) if text.endswith(" ms")]
    for b, text in zip((16, 8, 4), said, strict=True):
        assert text == f"{b} bits: {1e3 * LLAMA3_8B.N * b / 8 / H200.bandwidth:.3g} ms"
    ends = [e.get("d").rsplit("L", 1)[1] for e in of(svg, "path", "line")]
    assert len(set(ends)) == 1, "computing takes as long whatever is stored"


@pytest.mark.parametrize("layout", BOTH)
def test_rectangles_are_the_regions(layout):
    svg = picture("where_runs_exist", layout)
    found = of(svg, "rect", "runs")
    assert len(found) == len(REGIONS)
    wide = np.sort(numbers(found, "width"))
    decades = np.sort([np.log(r.N[1] / r.N[0]) for r in REGIONS.values()])
    assert wide / wide[-1] == pytest.approx(decades / decades[-1], abs=0.01)
    with pytest.raises(ValueError, match="eight laws"):
        draw.where_runs_exist({}, {})


@pytest.mark.parametrize("layout", BOTH)
def test_the_forest_has_a_dot_and_an_interval_for_each(layout):
    svg = picture("forest", layout)
    dots = numbers(of(svg, "circle", "value"), "cx")
    every = [one for lines in SAYINGS.values() for one in lines]
    assert on_line(dots, np.array([one.value for one in every])).max() < 0.01
    bars = of(svg, "line", "interval")
    assert len(bars) == sum(one.interval is not None for one in every)
    with pytest.raises(ValueError, match="beyond the axis"):
        draw.forest(SAYINGS, name="f", ends=(0, 0.5), ticks=(0,), message="No.")


@pytest.mark.parametrize("frame", range(4))
def test_what_is_lost_is_what_rounding_loses(frame):
    scaled = np.ldexp(GRADIENTS, (0, 4, 8, 12)[frame])
    svg = picture("under_the_roof", "narrow", frame)
    for fmt in (ps.FP16, ps.FP8_E5M2, ps.FP8_E4M3):
        zero = np.mean(ps.round_to(scaled, fmt) == 0)
        said = "none" if zero == 0 else f"{100 * zero:.1f} %" if zero < 0.1 else f"{100 * zero:.0f} %"
        assert any(text.startswith(f"zero {said} ") for text in words(svg))


def test_the_map_s_dots_are_the_best_sizes_of_their_budgets():
    for layout in BOTH:
        svg = picture("sliding_map", layout, 3)
        ticks = {
            e.text: float(e.get("x"))
            for e in svg.iter(SVG + "text")
            if e.text in ("1B", "10B", "100B") and e.get("text-anchor") == "middle"
        }
        per_log = np.polyfit(np.log([1e9, 1e10, 1e11]), [ticks[t] for t in ("1B", "10B", "100B")], 1)
        given = {"weights": 4.0, "activations": 4.0, "kv": 4.0}
        dots = numbers(of(svg, "circle", "best"), "cx")
        for budget, dot in zip((1e21, 1e23, 1e25), dots, strict=True):
            sizes = np.geomspace(1e8, 1e12, 4001)
            best = sizes[np.argmin(KUMAR_2024(sizes, budget / 6 / sizes, **given))]
            assert dot == pytest.approx(np.polyval(per_log, np.log(best)), abs=4), "within a step of the sizes tried"


def test_an_outlier_takes_values_from_all_others():
    svg = picture("one_outlier", "wide")
    assert {text for text in words(svg) if "in use" in text} == {"9 values in use", "3 values in use"}


@pytest.mark.parametrize("layout", BOTH)
def test_bits_right_of_the_cut_are_those_that_the_unit_drops(layout):
    svg, steps = picture("cut_products", layout), ps.arithmetic.instruction(*FACTORS, ps.arithmetic.H100_FP8, 0.0)
    dropped, kept = (of(svg, "rect", f"bit {look}") for look in ("dropped", "kept"))
    (cut,) = of(svg, "line", "cut")
    assert numbers(kept, "x").max() < float(cut.get("x1")) < numbers(dropped, "x").min()
    assert len(kept) == sum(place >= steps.last for term in steps.terms for place, _ in alignment.digits(term))
    assert sum(steps.kept) == steps.total
    assert len(kept) + len(dropped) == sum(len(alignment.digits(term)) for term in steps.terms)
    for term in steps.terms:
        assert sum(int(bit) * Fraction(2) ** place for place, bit in alignment.digits(term)) == abs(term)


@pytest.mark.parametrize("layout", BOTH)
def test_the_best_point_of_the_bowl_is_the_best_of_many(layout):
    svg, w, H = picture("bowl", layout), np.array([0.4, 0.35]), np.array([[1.0, 0.8], [0.8, 1.0]])
    points = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), axis=-1).reshape(-1, 2)
    found = points[np.argmin(np.einsum("ki,ij,kj->k", points - w, H, points - w))]
    best, near = of(svg, "circle", "best")[0], of(svg, "circle", "nearest")[0]
    step = np.diff(sorted(set(numbers(of(svg, "circle", "grid"), "cx"))))[0]
    assert float(best.get("cx")) - float(near.get("cx")) == pytest.approx(found[0] * step, abs=0.02)
    assert float(near.get("cy")) - float(best.get("cy")) == pytest.approx(found[1] * step, abs=0.02)
    assert of(svg, "path", "contour")
    with pytest.raises(ValueError, match="positive definite"):
        draw.bowl([0, 0], [[1, 2], [2, 1]])
