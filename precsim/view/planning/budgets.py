"""Budgets as charts: what a law makes of compute, of a fixed model, of served tokens, and where laws disagree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import altair as alt

from precsim.laws.base import Chinchilla
from precsim.view.laws.formulas import at, loss_formula, share_formulas
from precsim.view.theme import HUES, WIDTH, finish, log_axis, log_slider, si

if TYPE_CHECKING:
    from precsim.laws.law import Law

_WIDTHS = (4, 6, 8, 16)
_LOSS = "loss [nats/token]"


def _tied(law: Law) -> str:
    """The law with all tensors at P bits, as an expression in N, D, P; infinite where a factor is not positive."""
    if law.base is None or not law.factors:
        raise ValueError(f"the chart needs a base and factors of precision, got {law.label}")
    _, *signs = share_formulas(law, "weights", "activations", "kv")
    return f"(({') > 0 && ('.join(signs)}) > 0 ? {loss_formula(law, weights='P', activations='P', kv='P')} : NaN)"


def _grid(name: str, ends: tuple[float, float], steps: int = 160) -> alt.Chart:
    low, high = (math.log10(v) for v in ends)
    rows = alt.Chart(alt.sequence(0, steps + 1, 1, as_="k"))
    return rows.transform_calculate(**{name: f"pow(10, {low!r} + datum.k * {(high - low) / steps!r})"})


def _check(**ranges: tuple[float, float]) -> None:
    for name, (low, high) in ranges.items():
        if not 0 < low < high < math.inf:
            raise ValueError(f"{name} must be (low, high) with 0 < low < high, got {(low, high)}")


def iso_flop(law: Law, *, N: tuple[float, float], C: tuple[float, float]) -> alt.VConcatChart:
    """Draw the loss of every size at one compute, for several widths at the paper's price, with a slider of compute.

    Parameters
    ----------
    law : Law
        A base and factors, with numbers.
    N, C : (float, float)
        Range of sizes [parameters] and of the slider [FLOP at 16 bits].

    Notes
    -----
    A model of N parameters at P bits gets D = 16 C/(6 N P) tokens (kumar2024, section 4.3). Diamonds mark the least
    loss of each width.
    """
    _check(N=N, C=C)
    formula, budget = _tied(law), "pow(10, log_C)"
    fields = {f"c{p}": at(formula, N="datum.N", D=f"{budget} * 16 / (6 * datum.N * {p})", P=str(p)) for p in _WIDTHS}
    names = "{" + ", ".join(f"c{p}: '{p}'" for p in _WIDTHS) + "}[datum.key]"
    lines = (
        _grid("N", N)
        .transform_calculate(**fields)
        .transform_fold(list(fields), as_=["key", "loss"])
        .transform_filter("isValid(datum.loss) && isFinite(datum.loss)")
        .transform_calculate(width=names, tokens=f"{budget} * 16 / (6 * datum.N * toNumber(slice(datum.key, 1)))")
        .transform_filter("datum.tokens > datum.N / 100")
    )
    domain = [str(p) for p in _WIDTHS]
    color = alt.Color("width:N", title="bits P", sort=None, scale=alt.Scale(domain=domain, range=list(HUES[:4])))
    least = f"datum.loss < datum.least + {0.35!r}"
    near = lines.transform_joinaggregate(least="min(loss)").transform_filter(least)
    best = near.transform_joinaggregate(low="min(loss)", groupby=["width"]).transform_filter("datum.loss == datum.low")
    x, y = (
        log_axis("N", "N, parameters").scale(type="log", domain=list(N), nice=False),
        alt.Y("loss:Q", title=_LOSS).scale(zero=False),
    )
    tips = [alt.Tooltip("width:N", title="bits")] + [
        alt.Tooltip(f"{n}:Q", format=".4~g") for n in ("N", "tokens", "loss")
    ]
    chart = alt.layer(
        near.mark_line().encode(x=x, y=y, color=color),
        best.mark_point(shape="diamond", size=140, opacity=1).encode(x=x, y=y, color=color, tooltip=tips),
    )
    text = (
        f"Predicted loss against parameters at one compute, for {', '.join(domain)} bits with tokens D = 16 C/(6 N P);"
        f" a slider sets the compute from {C[0]:.0e} to {C[1]:.0e} FLOP. Diamonds mark the best size of each width."
    )
    slider = log_slider("log_C", "log₁₀ compute C [FLOP]", C)
    reading = "Line: one width, its tokens from the budget; diamond: its best size; the slider sets the compute."
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=300)).add_params(slider), text, reading=reading)


def fixed_model(law: Law, *, N: tuple[float, float], D: tuple[float, float]) -> alt.VConcatChart:
    """Draw the loss of one model against its training bits when the compute is fixed and narrower means more tokens.

    Parameters
    ----------
    law : Law
        A base and factors, with numbers.
    N, D : (float, float)
        Sliders of the model [parameters] and of the tokens it could read at 16 bits.

    Notes
    -----
    At P bits the model reads 16 D/P tokens for the same C (kumar2024, section 4.3.2).
    """
    _check(N=N, D=D)
    loss = at(_tied(law), N="pow(10, log_N)", D="pow(10, log_D) * 16 / datum.P", P="datum.P")
    rows = alt.Chart(alt.sequence(2, 16.05, 0.1, as_="P")).transform_calculate(
        loss=loss, tokens="pow(10, log_D) * 16 / datum.P"
    )
    lines = rows.transform_filter("isValid(datum.loss) && isFinite(datum.loss)")
    near = lines.transform_joinaggregate(least="min(loss)").transform_filter("datum.loss < datum.least + 0.25")
    best = near.transform_filter("datum.loss == datum.least")
    x = alt.X("P:Q", title="P, bits of weights, activations and KV").scale(domain=[2, 16], nice=False)
    y = alt.Y("loss:Q", title=_LOSS).scale(zero=False)
    chart = alt.layer(
        near.mark_line(color=HUES[0]).encode(x=x, y=y),
        best.mark_point(shape="diamond", size=140, color=HUES[1], opacity=1).encode(x=x, y=y),
        best.transform_calculate(text="format(datum.P, '.1f') + ' bits, ' + format(datum.tokens, '.3s') + ' tokens'")
        .mark_text(style="ink", dy=-14, fontSize=12)
        .encode(x=x, y=y, text="text:N"),
    )
    text = (
        f"Predicted loss of a fixed model against its training bits at fixed compute; sliders for its parameters"
        f" ({si(N[0])} to {si(N[1])}) and for the tokens it reads at 16 bits ({si(D[0])} to {si(D[1])})."
        " A diamond marks the best width."
    )
    sliders = [log_slider("log_N", "log₁₀ N [parameters]", N), log_slider("log_D", "log₁₀ D at 16 bits [tokens]", D)]
    reading = "Line: loss of the one model at each width, its tokens from the budget; diamond: the best width."
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=280)).add_params(*sliders), text, reading=reading)


def serving_cost(law: Law, *, N: tuple[float, float], served: tuple[float, float]) -> alt.VConcatChart:
    """Draw the cost of training and serving every size that reaches one loss, with a slider of tokens to be served.

    Parameters
    ----------
    law : Chinchilla
        With numbers; its form gives the tokens that reach a loss, D = ((L − E − A N^−α)/B)^(−1/β).
    N : (float, float)
        Range of sizes; the loss is that of the compute-optimal model in the middle of it (geometric mean).
    served : (float, float)
        Range of the slider [tokens].

    References
    ----------
    sardana2024, equation 4.
    """
    if not isinstance(law, Chinchilla) or law.free:
        raise ValueError(f"the chart needs Chinchilla's form with numbers, got {law!r}")
    _check(N=N, served=served)
    size = math.sqrt(N[0] * N[1])
    share = law.alpha / law.beta
    tokens = size**share * (law.optimum(6.0)[1] / law.optimum(6.0)[0] ** share)
    target = float(law(size, tokens))
    missing = f"({target!r} - {law.E!r} - {law.A!r} * pow(datum.N, {-law.alpha!r}))"
    rows = (
        _grid("N", N, 240)
        .transform_calculate(left=missing)
        .transform_filter("datum.left > 0")
        .transform_calculate(D=f"pow(datum.left / {law.B!r}, {-1 / law.beta!r})")
        .transform_calculate(training="6 * datum.N * datum.D", serving="2 * datum.N * pow(10, log_T)")
        .transform_calculate(total="datum.training + datum.serving")
    )
    near = rows.transform_joinaggregate(least="min(total)").transform_filter("datum.total < 4 * datum.least")
    names = {"training": "training", "serving": "serving", "total": "both"}
    folded = near.transform_fold(list(names), as_=["key", "flop"]).transform_calculate(
        cost="{" + ", ".join(f"{k}: '{v}'" for k, v in names.items()) + "}[datum.key]"
    )
    best = near.transform_filter("datum.total == datum.least")
    x = log_axis("N", "N, parameters").scale(type="log", domain=list(N), nice=False)
    y = alt.Y("flop:Q", title="cost [FLOP]").axis(format="~e")
    color = alt.Color(
        "cost:N", title=None, sort=None, scale=alt.Scale(domain=list(names.values()), range=list(HUES[:3]))
    )
    label = "format(datum.N, '.3s') + ' parameters, ' + format(datum.D, '.3s') + ' tokens'"
    chart = alt.layer(
        folded.mark_line().encode(x=x, y=y, color=color),
        best.transform_calculate(flop="datum.total").mark_point(shape="diamond", size=140, opacity=1).encode(x=x, y=y),
        best.transform_calculate(flop="datum.total", text=label)
        .mark_text(style="ink", dy=-16, fontSize=12)
        .encode(x=x, y=y, text="text:N"),
    )
    text = (
        f"Cost of training and serving models that all reach a loss of {target:.4f} nats per token, against their"
        f" parameters; a slider sets the tokens to be served from {si(served[0])} to {si(served[1])}."
    )
    slider = log_slider("log_T", "log₁₀ served tokens", served)
    reading = "Line: cost against size, all sizes trained to one loss; diamond: the cheapest in all."
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=300)).add_params(slider), text, reading=reading)


def added_loss(
    rivals: Mapping[str, tuple[Law, Mapping[str, Any]]], *, N: tuple[float, float], D: tuple[float, float]
) -> alt.VConcatChart:
    """Draw what several laws say that one precision adds to the loss, against tokens, with a slider of size.

    Parameters
    ----------
    rivals : mapping of str to (Law, mapping)
        Name → the law and its arguments, such as ``(KUMAR_2024, {"post": 4})``; what it adds is its loss there minus
        its loss without them.
    N, D : (float, float)
        Slider of parameters, range of tokens.
    """
    _check(N=N, D=D)
    if not rivals:
        raise ValueError("no laws to draw")
    fields = {}
    for i, (law, low) in enumerate(rivals.values()):
        difference = f"({loss_formula(law, **low)}) - ({'0' if law.base is None else loss_formula(law.base)})"
        fields[f"c{i}"] = at(difference, N="pow(10, log_N)", D="datum.D", P="0")
    names = list(rivals)
    lines = (
        _grid("D", D, 100)
        .transform_calculate(**fields)
        .transform_fold(list(fields), as_=["key", "added"])
        .transform_filter("datum.added > 1e-5")
        .transform_calculate(law="{" + ", ".join(f"c{i}: '{n}'" for i, n in enumerate(names)) + "}[datum.key]")
    )
    color = alt.Color("law:N", title=None, sort=None, scale=alt.Scale(domain=names, range=list(HUES[: len(names)])))
    y = alt.Y("added:Q", title="added loss [nats/token]", scale=alt.Scale(type="log")).axis(format="~g")
    chart = lines.mark_line(clip=True).encode(
        x=log_axis("D", "D, training tokens").scale(type="log", domain=list(D), nice=False),
        y=y,
        color=color.legend(columns=2),
    )
    text = (
        f"Loss that a low precision adds, against tokens ({si(D[0])} to {si(D[1])}), as {len(names)} laws have it:"
        f" {', '.join(names)}. A slider sets the parameters from {si(N[0])} to {si(N[1])}."
    )
    slider = log_slider("log_N", "log₁₀ N [parameters]", N)
    reading = "Line: loss with this precision minus loss without, by one law; both axes logarithmic; the slider sets N."
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=320)).add_params(slider), text, reading=reading)
