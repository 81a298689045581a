"""A law with sliders: how many bits, answered in a page without a kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt

from precsim.view.laws.formulas import at, loss_formula, share_formulas
from precsim.view.theme import GRAY, HUES, WIDTH, finish, log_axis, log_slider, si, values

if TYPE_CHECKING:
    from precsim.laws import Law

TRAINED, AFTER, FULL = "trained in P bits", "quantized to P bits after training", "full precision"
LEAST_BITS, MOST_BITS = 2.0, 16.0


def how_many_bits(law: Law, *, N: tuple[float, float], D: tuple[float, float], nats: str = "loss") -> alt.VConcatChart:
    """Draw a law with sliders for N, D and bits: loss against bits, loss against tokens, and the numbers in words.

    Parameters
    ----------
    law : Law
        With a base and numbers for all its parameters. What it says of low precision in training is drawn
        for the weights, ``law(N, D, weights=P)``; its damage after training is ``law(N, D, post=P)``.
    N, D : (float, float)
        Ends of the sliders [parameters, tokens]. Beyond the runs the law was fitted to, the chart extrapolates.
    nats : str
        What the law predicts, for the axes: "loss", or "gap" if it was fitted to the gap.

    Raises
    ------
    ValueError
        The law has no base, says nothing of precision, has parameters without a value, or a range is empty.

    Notes
    -----
    The browser evaluates the law's own SymPy expression (`precsim.symbolic.to_vega`), so chart and package cannot
    differ. The box "hold N × bits" gives the model 16 N/P parameters: the same memory, and the same compute
    where the price of a multiplication is proportional to its bits (kumar2024, section 4.3). With it the
    curves turn, and the diamonds mark their least loss.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> chart = how_many_bits(KUMAR_2024, N=(1e7, 1e10), D=(1e9, 1e13))
    >>> [param.name for param in chart.params]
    ['log_N', 'log_D', 'bits', 'hold']
    """
    _check(law, N, D)
    formulas = _formulas(law)
    curves = [name for name in (TRAINED, AFTER) if name in formulas]
    sliders = [log_slider("log_N", "log₁₀ N [parameters]", N), log_slider("log_D", "log₁₀ D [tokens]", D)]
    bits = alt.param(
        name="bits", value=4, bind=alt.binding_range(min=LEAST_BITS, max=MOST_BITS, step=0.5, name="bits P")
    )
    hold = alt.param(name="hold", value=True, bind=alt.binding_checkbox(name="hold N × bits (16 N/P parameters)"))
    chart = alt.vconcat(
        _readout(formulas),
        _against_bits(formulas, curves, nats),
        _against_tokens(formulas, curves, D, nats),
        spacing=14,
    ).add_params(*sliders, bits, hold)
    ends: list[Any] = [law(N[0], D[0]), law(N[1], D[1])]
    text = (
        f"Sliders for parameters N ({si(N[0])} to {si(N[1])}), tokens D ({si(D[0])} to {si(D[1])}) and bits P."
        f" The upper chart has the predicted {nats} against bits for a model {' and one '.join(curves)}; the lower one"
        f" against tokens. At full precision it falls from {float(ends[0]):.3g} to {float(ends[1]):.3g} nats per token."
    )
    reading = (
        "Above: against bits; below: against tokens; dotted: the sliders' setting; diamond: the least of a"
        " curve that turns. Blue: trained in P bits; orange: rounded to P bits afterwards; gray: full"
        " precision."
    )
    return finish(chart, text, reading=reading)


def _check(law: Law, N: tuple[float, float], D: tuple[float, float]) -> None:
    if law.base is None or not (law.factors or law.degradations):
        raise ValueError(f"the chart needs a law of a base and of what low precision does to it, got {law!r}")
    if law.free:
        raise ValueError(f"{', '.join(law.free)} have no value yet: fit the law first")
    for name, (low, high) in {"N": N, "D": D}.items():
        if not (0 < low < high < math.inf):
            raise ValueError(f"{name} must be (low, high) with 0 < low < high, got {(low, high)}")


def _formulas(law: Law) -> dict[str, str]:
    """For each curve the law as a Vega expression in N, D and P."""
    found = {FULL: loss_formula(law)}
    if law.factors:
        found[TRAINED] = loss_formula(law, weights="P")
        found["share"] = share_formulas(law, "weights")[0]
    if law.degradations:
        found[AFTER] = loss_formula(law, post="P")
    return found


_N, _D = "pow(10, log_N)", "pow(10, log_D)"
_HELD = "(hold ? 16 / {} : 1)"
_COLOR = alt.Color(
    "curve:N",
    title=None,
    scale=alt.Scale(domain=[TRAINED, AFTER, FULL], range=[HUES[0], HUES[1], GRAY]),
    legend=alt.Legend(columns=1),
)


def _readout(formulas: dict[str, str]) -> alt.Chart:
    """Three lines: the setting, and for each curve its value and what it costs against full precision."""
    here = {"N": f"{_N} * {_HELD.format('bits')}", "D": _D, "P": "bits"}
    lines = [f"'N = ' + format({here['N']}, '.3s') + ',  D = ' + format({_D}, '.3s') + ',  P = ' + bits + ' bits'"]
    if TRAINED in formulas:
        loss, share = at(formulas[TRAINED], **here), at(formulas["share"], **here)
        lines.append(f"'trained in P bits: ' + format({loss}, '.4f') + ',  N_eff/N = ' + format({share}, '.3f')")
    if AFTER in formulas:
        loss, full = at(formulas[AFTER], **here), at(formulas[FULL], **here)
        lines.append(f"'quantized after: ' + format({loss}, '.4f') + ',  δ = ' + format({loss} - ({full}), '.4f')")
    text = " : ".join(f"datum.line == {i} ? {line}" for i, line in enumerate(lines)) + " : ''"
    return (
        alt.Chart(values({"line": i} for i in range(len(lines))))
        .transform_calculate(text=text)
        .mark_text(style="ink", align="left", fontSize=13)
        .encode(
            x=alt.value(0),
            y=alt.Y("line:O", axis=None),
            text="text:N",
        )
        .properties(width=WIDTH, height=20 * len(lines), view=alt.ViewConfig(stroke=None))
    )


def _against_bits(formulas: dict[str, str], curves: list[str], nats: str) -> Any:
    size = f"{_N} * {_HELD.format('datum.P')}"
    grid = alt.sequence(LEAST_BITS, MOST_BITS + 0.05, 0.1, as_="P")
    lines = _fold(alt.Chart(grid), formulas, [*curves, FULL], N=size, D=_D, P="datum.P")
    x = alt.X("P:Q", title="P [bits]").scale(domain=[LEAST_BITS, MOST_BITS], nice=False)
    # Two or three bits can cost many nats; the axis ends where the interesting part does.
    top = f"1.3 * ({at(formulas[FULL], N=_N, D=_D, P='bits')})"
    return _with_least(lines, x, _loss_axis(nats, top), "bits", inside="datum.P", ends=(LEAST_BITS, MOST_BITS))


def _against_tokens(formulas: dict[str, str], curves: list[str], D: tuple[float, float], nats: str) -> Any:
    size = f"{_N} * {_HELD.format('bits')}"
    low, high = (math.log10(v) for v in D)
    grid = alt.sequence(0, 101, 1, as_="k")
    rows = alt.Chart(grid).transform_calculate(D=f"pow(10, {low!r} + datum.k * {(high - low) / 100!r})")
    lines = _fold(rows, formulas, [*curves, FULL], N=size, D="datum.D", P="bits")
    top = f"1.1 * ({at(formulas[FULL], N=size, D=repr(float(D[0])), P='bits')})"
    return _with_least(lines, log_axis("D", "D [tokens]"), _loss_axis(nats, top), _D, inside="datum.D", ends=D)


def _loss_axis(nats: str, top: str) -> alt.Y:
    return alt.Y("loss:Q", title=f"{nats} [nats/token]").scale(zero=False, domainMax=alt.ExprRef(top))


def _fold(chart: alt.Chart, formulas: dict[str, str], curves: list[str], **names: str) -> alt.Chart:
    fields = {f"c{i}": at(formulas[name], **names) for i, name in enumerate(curves)}
    label = "{" + ", ".join(f"c{i}: '{name}'" for i, name in enumerate(curves)) + "}[datum.key]"
    return (
        chart.transform_calculate(**fields)
        .transform_fold(list(fields), as_=["key", "loss"])
        .transform_filter("isValid(datum.loss) && isFinite(datum.loss)")
        .transform_calculate(curve=label)
    )


def _with_least(lines: alt.Chart, x: alt.X, y: alt.Y, here: str, *, inside: str, ends: tuple[float, float]) -> Any:
    """The lines, a rule at the slider's place, and a diamond at the least of each line that turns within the ends."""
    least = (
        lines.transform_filter(f"datum.curve != '{FULL}'")
        .transform_joinaggregate(least="min(loss)", groupby=["curve"])
        .transform_filter("datum.loss == datum.least")
    )
    turns = alt.condition(f"{inside} > {ends[0] * 1.01!r} && {inside} < {ends[1] * 0.99!r}", alt.value(1), alt.value(0))
    name = inside.removeprefix("datum.")
    rule = alt.Chart(values([{}])).transform_calculate(**{name: here})
    return alt.layer(
        rule.mark_rule(style="faint", strokeDash=[4, 3]).encode(x=x),
        lines.mark_line(clip=True).encode(x=x, y=y, color=_COLOR),
        least.mark_point(shape="diamond", size=130, clip=True).encode(x=x, y=y, color=_COLOR, opacity=turns),
    ).properties(width=WIDTH, height=210)
