"""Two weights rounded together, drawn as a plane: nearest against GPTQ, and why the inputs decide."""

from __future__ import annotations

import altair as alt

from precsim.view.theme import GRAY, HUES, WIDTH, finish, values

_SPAN = 2.6
#: Vega expressions in the sliders a, b (the weights) and rho (the correlation of the inputs).
FIRST = "round(a)"
SHIFTED = f"(b + rho * (a - {FIRST}))"
SECOND = f"round({SHIFTED})"
NEAREST = "round(b)"
LOSS = "0.5 * (pow(a - ({0}), 2) + 2 * rho * (a - ({0})) * (b - ({1})) + pow(b - ({1}), 2))"

_NAMES = ("weights as trained", "rounded to nearest", "second weight moved", "GPTQ")


def two_weights() -> alt.LayerChart:
    """Draw two weights of one output, the grid, and what rounding to nearest and GPTQ make of them.

    Sliders move both weights and the correlation of their two inputs, whose second moments are 1. The error is
    E (x (w - q))^2 / 2; its curves of equal value are ellipses.

    Notes
    -----
    GPTQ rounds the first weight, moves the second by rho times the error made, which is the best answer to it, and
    rounds that. It never sees how the second rounding will end, so it is not always the better of the two.

    References
    ----------
    frantar2023, algorithm 1, for two weights and no damping.

    Examples
    --------
    >>> [param.name for param in two_weights().params]
    ['a', 'b', 'rho']
    """
    sliders = [
        alt.param(name="a", value=0.4, bind=alt.binding_range(min=-1.5, max=1.5, step=0.05, name="first weight")),
        alt.param(name="b", value=0.35, bind=alt.binding_range(min=-1.5, max=1.5, step=0.05, name="second weight")),
        alt.param(
            name="rho", value=0.8, bind=alt.binding_range(min=-0.95, max=0.95, step=0.05, name="correlation of inputs")
        ),
    ]
    domain = [-_SPAN, _SPAN]
    x = alt.X("x:Q", title="first weight [steps]").scale(domain=domain, nice=False)
    y = alt.Y("y:Q", title="second weight [steps]").scale(domain=domain, nice=False)
    hue = alt.Color("what:N", title=None, sort=None, legend=alt.Legend(columns=2))
    hue = hue.scale(domain=list(_NAMES), range=[HUES[0], HUES[3], GRAY, HUES[2]])
    grid = alt.Chart(values({"x": i, "y": j} for i in range(-2, 3) for j in range(-2, 3)))
    here = alt.Chart(values([{}]))

    def point(px: str, py: str, name: str, mark: str, size: int) -> alt.Chart:
        data = here.transform_calculate(x=px, y=py, what=f"'{name}'")
        hollow = {"filled": False, "strokeWidth": 2.5} if size > 150 else {}
        tip = [alt.Tooltip("what:N"), alt.Tooltip("x:Q", format=".3f"), alt.Tooltip("y:Q", format=".3f")]
        return data.mark_point(shape=mark, size=size, opacity=1, **hollow).encode(x=x, y=y, color=hue, tooltip=tip)

    def ellipse(px: str, py: str, color: str) -> alt.Chart:
        """Points with the same error as (px, py), by the square root of the moment matrix."""
        ring = alt.Chart(alt.sequence(0, 181, 1, as_="k")).transform_calculate(t="datum.k * PI / 90")
        # along the eigenvectors (1, 1) and (1, -1) of the moment matrix, with eigenvalues 1 + rho and 1 - rho
        radius = f"sqrt({LOSS.format(px, py)})"
        along, across = "cos(datum.t) / sqrt(1 + rho)", "sin(datum.t) / sqrt(1 - rho)"
        ring = ring.transform_calculate(
            x=f"a + {radius} * ({along} + {across})", y=f"b + {radius} * ({along} - {across})"
        )
        line = ring.mark_line(strokeWidth=1.3, color=color, clip=True)
        return line.encode(x=x, y=y, order="k:Q")

    arrow = here.transform_calculate(x=FIRST, y="b", y2=SHIFTED)
    step = here.transform_calculate(x="a", x2=FIRST, y="b")
    text = here.transform_calculate(
        text=f"'error: nearest ' + format({LOSS.format(FIRST, NEAREST)}, '.3f') + ',  GPTQ '"
        f" + format({LOSS.format(FIRST, SECOND)}, '.3f')"
    )
    chart = alt.layer(
        grid.mark_point(shape="cross", size=40, color=GRAY, opacity=0.7).encode(x=x, y=y),
        ellipse(FIRST, NEAREST, HUES[3]),
        ellipse(FIRST, SECOND, HUES[2]),
        step.mark_rule(style="faint", strokeDash=[3, 3]).encode(x=x, x2="x2:Q", y=y),
        arrow.mark_rule(color=GRAY, strokeWidth=2).encode(x=x, y=y, y2="y2:Q"),
        point(FIRST, NEAREST, _NAMES[1], "square", 240),
        point(FIRST, SHIFTED, _NAMES[2], "circle", 60),
        point(FIRST, SECOND, _NAMES[3], "diamond", 200),
        point("a", "b", _NAMES[0], "circle", 90),
        text.mark_text(style="ink", align="left", baseline="top", fontSize=13, dx=4, dy=4).encode(
            x=alt.value(0), y=alt.value(0), text="text:N"
        ),
    ).add_params(*sliders)
    words = (
        "Two weights as a point in the plane, the grid of integers, and ellipses of equal error around the point."
        " Sliders move the weights and the correlation of their inputs. With weights 0.4 and 0.35 and correlation 0.8,"
        " rounding to nearest gives (0, 0); GPTQ rounds the first to 0, moves the second to 0.67 and rounds it to 1, on"
        " a smaller ellipse."
    )
    reading = (
        "Crosses: what two rounded weights can be; circle: the weights before; square: each rounded by"
        " itself; diamond: GPTQ, which moves the second weight (arrow) before it rounds it; ellipses: equal"
        " error."
    )
    return finish(chart.properties(width=WIDTH, height=420), words, reading=reading)
