"""The makers of the records: each takes public tables and returns plain JSON values, the same on every run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from precsim import laws
from precsim.data.public import TABLES
from precsim.fitting.comparison import ByCompute, ByData, Groups, Split, compare
from precsim.fitting.fits import Fit, FitError, fit
from precsim.fitting.uncertainty import Draws, bootstrap, interval
from precsim.laws import ACTIVATIONS, WEIGHTS, Law
from precsim.laws.published import EPOCH_2024, HOFFMANN_2022
from precsim.laws.setting import Effective
from precsim.runs import Table
from precsim.runs.envelope import undominated

_KNEE = 1e-3  # of the literature
_LEVEL = 0.95
_SEED = 0
_BASES: tuple[Law, ...] = (laws.Tied(), laws.Chinchilla(), laws.Kaplan(), laws.OuterExponent(), laws.BetaOfN())
_CHINCHILLA_FLOP = 5.76e23  # of the model Chinchilla, hoffmann2022, section 4
_ORIGINS = (0.2, 0.3, 0.4, 0.5)  # shares held out in turn where a form is chosen


def _source(name: str, rows: int) -> dict[str, Any]:
    table = TABLES[name]
    return {
        "table": name,
        "repository": table.repository,
        "commit": table.commit,
        "licence": table.licence,
        "content_sha256": table.sha256,
        "rows": table.rows,
        "rows_used": rows,
    }


def _rng() -> np.random.Generator:
    return np.random.default_rng(_SEED)


def _fit(found: Fit, draws: Draws | None = None) -> dict[str, Any]:
    """A fit and, with draws, the interval of each parameter."""
    stage = found.stages[0]
    out = {
        "law": json.loads(found.law.to_json()),
        "form": found.form.label,
        "rows": len(stage.observations),
        "knee": stage.delta,
        "objective": stage.objective,
        "rmse": float(np.sqrt(np.mean(found.residuals**2))),
        "residual_scale": stage.scale,
        "status": found.status.name,
    }
    if draws is None:
        return out
    spread = {name: interval(draws, lambda law, n=name: getattr(law, n), _LEVEL) for name in draws.values}
    return out | {
        "intervals": {name: [i.low, i.high] for name, i in spread.items()},
        "standard_errors": {name: float(np.std(v, ddof=1)) for name, v in draws.values.items()},
        "level": _LEVEL,
        "method": "bootstrap percentile",
        "draws": len(draws),
    }


def _bootstrapped(found: Fit) -> tuple[dict[str, Any], Draws | None]:
    """A fit with intervals and its draws, or with the reason why the rows do not give them and None."""
    try:
        draws = bootstrap(found, n=1000, rng=_rng())
    except FitError as failure:
        return _fit(found) | {"no_intervals": str(failure)}, None
    return _fit(found, draws), draws


def _scores(forms: Sequence[Law], table: Table, split: Split, what: str) -> dict[str, Any]:
    """A comparison: what was held out, each form's error with its interval, and the verdict."""
    found = compare(forms, table, split=split, rng=_rng(), level=_LEVEL, units_checked=True)
    return {
        "held_out": what,
        "rows": len(table),
        "level": _LEVEL,
        "scores": [
            {
                "form": s.form.label,
                "parameters": s.parameters,
                "held_out_error": s.held_out,
                "interval": list(s.interval),
                "rmse": s.rmse,
                "bic": s.bic,
                "folds": s.folds,
            }
            for s in found.scores
        ],
        "verdict": None if found.verdict is None else found.verdict.label,
        "preferred": found.preferred.label,
        "refused": [law.label for law in found.refused],
    }


def _roll_out(table: Table) -> dict[str, Any]:
    """Errors on the largest 30 % of compute, for all rows and for the undominated ones, and what the rest would choose.

    The choice is that of least error in roll-outs from four origins within the other 70 %. `in_sample` is the mean
    error of the held-out rows in a fit that has seen them: no law of this form does better.
    """
    best = table[undominated(table)]
    every = _judged(table)
    return {"all rows": every, "undominated rows": every if len(best) == len(table) else _judged(best)}


def _judged(rows: Table) -> dict[str, Any]:
    compute = (rows["N"] * rows["D"]).to_numpy(dtype=float)
    top = compute >= np.quantile(compute, 0.7, method="higher")
    inner = compare(_BASES, rows[~top], split=ByCompute(_ORIGINS), rng=_rng())
    chosen = min(inner.scores, key=lambda s: s.held_out).form
    seen = {form.label: fit(form, rows, strict=False).residuals[top] for form in _BASES}
    record = _scores(_BASES, rows, ByCompute(0.3), "the largest 30 % of compute")
    for score in record["scores"]:
        score["in_sample"] = float(np.mean(np.abs(seen[score["form"]])))
    return record | {
        "chosen_without_held_out_rows": chosen.label,
        "origins": list(_ORIGINS),
        "errors_in_the_choice": {s.form.label: s.held_out for s in inner.scores},
        "expected_if_true": _expected_error(chosen, rows, top),
    }


def _expected_error(form: Law, rows: Table, top: np.ndarray, tables: int = 60) -> dict[str, Any]:
    """Mean error on the held-out rows if the form were true and its residuals were independent noise: simulated."""
    found, rng = fit(form, rows, strict=False), _rng()
    N, D = (rows[c].to_numpy(dtype=float) for c in ("N", "D"))
    freedom = len(rows) - len(found.form.free)
    noise = found.residuals * np.sqrt(len(rows) / freedom)  # a fit takes up some of it
    errors = []
    for _ in range(tables):
        loss = found.law(N, D) * np.exp(rng.choice(noise, len(rows)))
        law = fit(form, {"N": N[~top], "D": D[~top], "loss": loss[~top]}, strict=False).law
        errors.append(np.mean(np.abs(np.log(law(N[top], D[top]) / loss[top]))))
    low, high = np.percentile(errors, [2.5, 97.5])
    return {"mean": float(np.mean(errors)), "range": [float(low), float(high)], "level": _LEVEL, "tables": tables}


def _clean(residuals: np.ndarray, knee: float) -> float:
    size = np.abs(residuals)
    return float(np.where(size <= knee, size**2 / 2, knee * (size - knee / 2)).sum())


def _tokens_per_parameter(law: Any) -> float:
    N, D = law.base.optimum(_CHINCHILLA_FLOP)
    return D / N


def chinchilla(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Epoch's points: the usual fit, its bootstrap, the objective at printed constants, and what the knee decides."""
    table = tables["chinchilla-epoch"]
    rows = table[~table["holdout"]]
    N, D, loss = (rows[c].to_numpy(dtype=float) for c in ("N", "D", "loss"))
    usual, adaptive = fit(laws.Chinchilla(), rows, delta=_KNEE), fit(laws.Chinchilla(), rows)
    draws = {"usual": bootstrap(usual, n=4000, rng=_rng()), "adaptive": bootstrap(adaptive, n=4000, rng=_rng())}
    ratio = {name: interval(d, _tokens_per_parameter) for name, d in draws.items()}
    knees = np.geomspace(1e-5, 1e-1, 25)
    swept = [fit(laws.Chinchilla(), rows, delta=float(knee), strict=False) for knee in knees]
    printed = {"Epoch 2024": EPOCH_2024, "Hoffmann 2022": HOFFMANN_2022}
    return {
        "source": _source("chinchilla-epoch", len(rows)),
        "fits": {"usual": _fit(usual, draws["usual"]), "adaptive": _fit(adaptive, draws["adaptive"])},
        "tokens_per_parameter": {
            "flop": _CHINCHILLA_FLOP,
            **{name: [i.low, i.high] for name, i in ratio.items()},
        },
        "printed": {
            name: {
                "law": json.loads(law.to_json()),
                "objective": _clean(np.log(loss) - np.log(law(N, D)), _KNEE),
                "mean_residual": float(np.mean(np.log(loss) - np.log(law(N, D)))),
            }
            for name, law in printed.items()
        },
        "knees": [
            {"knee": float(k), **f.parameters, "excess": _clean(f.residuals, _KNEE) / usual.objective - 1}
            for k, f in zip(knees, swept, strict=True)
        ],
        "roll_out": _roll_out(rows),
    }


def kyo(tables: Mapping[str, Table]) -> dict[str, Any]:
    """The cleaned points of the package chinchilla: the usual fit, and the roll-out."""
    table = tables["kyo-llm"]
    usual = fit(laws.Chinchilla(), table, delta=_KNEE)
    draws = bootstrap(usual, n=2000, rng=_rng())
    return {
        "source": _source("kyo-llm", len(table)),
        "fits": {"usual": _fit(usual, draws)},
        "roll_out": _roll_out(table),
    }


def gemstones(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Cooled-down ends of the Gemstones: the roll-out, of all shapes and of those that no smaller model beats."""
    table = tables["gemstones"]
    rows = table[table["subsets"].str.split().apply(lambda names: "cool_end" in names)]
    return {"source": _source("gemstones", len(rows)), "roll_out": _roll_out(rows)}


def step_law(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Least loss over learning rate and batch size of each (N, D): the roll-out."""
    table = tables["step-law"].drop(columns="holdout")
    rows = table.loc[table.groupby(["N", "D"])["loss"].idxmin()]
    return {"source": _source("step-law", len(rows)), "roll_out": _roll_out(rows)}


def quartet_rows(tables: Mapping[str, Table]) -> Table:
    """BF16 and MXFP4 in the forward pass, both with BF16 backward."""
    table = tables["quartet-mxfp4"]
    return table[(table["backward"] == "BF16") & table["scheme"].isin(["BF16", "QuEST"])]


def quartet(tables: Mapping[str, Table]) -> dict[str, Any]:
    """MXFP4 in the forward pass: the roll-out of the BF16 rows, and whether the factor drifts with data and size."""
    both, full = quartet_rows(tables), _full_precision(tables)
    forms = {}
    for base in (laws.Chinchilla(), laws.OuterExponent()):
        for factor in (laws.PerScheme(("QuEST",)), laws.Drifting(laws.PerScheme(("QuEST",)))):
            found = fit(base | factor, both, strict=False)
            forms[found.form.label], _ = _bootstrapped(found)
    return {
        "source": _source("quartet-mxfp4", len(both)),
        "roll_out": _roll_out(full),
        "factor": {"scheme": "QuEST, MXFP4 in the forward pass", "fits": forms},
        "passes": {kind: _pass(rows, "scheme") for kind, rows in quartet_passes(tables).items()},
        "bends": _bends(both, laws.PerScheme(("QuEST",)), one_width=True),
    }


def quartet_passes(tables: Mapping[str, Table]) -> dict[str, Table]:
    """MXFP4 in the forward pass, in the backward pass, and in both, each with the BF16 runs."""
    table = tables["quartet-mxfp4"]
    ahead, behind = (table[column] != "BF16" for column in ("scheme", "backward"))
    named = table.assign(scheme=table["scheme"].where(~behind, table["scheme"] + ", backward " + table["backward"]))
    named.loc[~ahead & ~behind, "scheme"] = "BF16"
    kinds = {"forward": ~behind, "backward": ~ahead, "both": ahead == behind}
    return {kind: named[mask] for kind, mask in kinds.items()}


#: Families of Quartet II's table by the passes that they quantize; in the last its column ``backward`` does not say so.
_PASSES = {
    "forward": ("forward_main", "forward_quartet"),
    "backward": ("backward_main", "backward_quartet", "bnrq"),
    "both": ("nvidia", "quartetv2", "tetrajetv2"),
}


def quartet2_passes(tables: Mapping[str, Table]) -> dict[str, Table]:
    """NVFP4 in the forward pass, in the backward pass, and in both, each with the BF16 runs; exact copies once."""
    table = tables["quartet2-nvfp4"].drop_duplicates(["scheme", "N", "D", "loss"])
    return {kind: table[table["family"].isin(["baseline", *some])] for kind, some in _PASSES.items()}


def quartet2(tables: Mapping[str, Table]) -> dict[str, Any]:
    """NVFP4 in either pass: the roll-out of the BF16 rows, and whether rounding in a pass costs parameters or data."""
    passes = quartet2_passes(tables)
    full = passes["both"][passes["both"]["family"] == "baseline"]
    return {
        "source": _source("quartet2-nvfp4", len(tables["quartet2-nvfp4"])),
        "roll_out": _roll_out(full),
        "passes": {kind: _pass(rows, "baseline") for kind, rows in passes.items()},
        "bends": _bends(plain := quartet2_plain_rows(tables), laws.PerScheme((_named(plain),)), one_width=True),
    }


def quartet2_plain_rows(tables: Mapping[str, Table]) -> Table:
    """BF16, and the plainest NVFP4 in the forward pass: to nearest, scales as they are, no transform."""
    forward = quartet2_passes(tables)["forward"]
    named = {one for one in forward["scheme"] if one.startswith("forward_main")}
    (plain,) = (one for one in named if "True" not in one and "override=1 " in one and one.count("dim=1 ") == 1)
    return forward.loc[forward["scheme"].isin(["baseline", plain])]


def _named(rows: Table) -> str:
    (scheme,) = set(rows["scheme"]) - {"baseline"}
    return scheme


def quest_weights_rows(tables: Mapping[str, Table]) -> Table:
    """Of `quest_rows` those whose activations are in BF16: three widths at four sizes, and all runs in BF16."""
    rows = quest_rows(tables)
    return rows.loc[np.isinf(rows["activations"])]


def _bends(rows: Table, factor: Any, *, one_width: bool) -> dict[str, Any]:
    """A factor, the same with drift, and three bends, under two bases, on what was held out; a fit of the first bend.

    There is no δ of rounding afterwards: the damage that is bent is C·D^γ_D·N^(−γ_N)/(2^(P−1) − 1)², all of it fitted.
    """
    delta = laws.SecondOrderDegradation()
    ridge = laws.BentRidge(delta, D0=1e10)
    parts = (factor, laws.Drifting(factor), laws.Bent(delta), laws.BentPower(laws.SecondOrderDegradation(K=1.0)), ridge)
    data = (ByData(_ORIGINS), "the most tokens, four origins")
    widths = (Groups("weights", only=(2.0, 3.0, 4.0)), "weights of 2, 3 and 4 bits in turn")
    splits: dict[str, tuple[Split, str]] = {"data": data} if one_width else {"widths": widths}
    splits["sizes"] = (Groups("N"), "each size in turn")
    out: dict[str, Any] = {"runs": len(rows), "in few bits": int(np.isfinite(rows["weights"]).sum())}
    for base in (laws.Chinchilla(), laws.OuterExponent()):
        judged = {name: _scores([base | p for p in parts], rows, split, what) for name, (split, what) in splits.items()}
        out[base.label] = judged | {"fit": _fit(fit(base | parts[2], rows, strict=False))}
    return out


def _pass(rows: Table, full: str) -> dict[str, Any]:
    """A factor for each scheme on N against one on D, sizes held out in turn; and the factors of the better base.

    Whether rounding acts like fewer parameters or like fewer tokens depends on the base that is assumed, so both are
    asked under two. Schemes at fewer than three sizes are left out: held out, they would leave one or none.
    """
    sizes = rows.groupby("scheme")["N"].nunique()
    rows = rows.loc[rows["scheme"].isin(sizes.index[sizes >= 3]), ["N", "D", "loss", "scheme"]]
    names = tuple(sorted(set(rows["scheme"]) - {full, "BF16"}))
    on = {kind: laws.PerScheme(names, on=kind) for kind in Effective}
    bases = (laws.Chinchilla(), laws.OuterExponent())
    judged = {b.label: _scores([b | f for f in on.values()], rows, Groups("N"), "each size in turn") for b in bases}
    found = fit(laws.OuterExponent() | on[Effective.N], rows, strict=False)
    record, _ = _bootstrapped(found)
    return {"schemes": list(names), "judged": judged, "fit": record}


def paretoq(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Weights of 1 to 4 bits, trained last: gaps against 16 bits by size, and forms of f(P) by held-out widths.

    All models saw the same number of tokens: E takes up what they cost, and N alone is left of the base.
    """
    table = tables["paretoq"]
    forms = [laws.Frontier() | f(WEIGHTS) for f in (laws.Plain, laws.Offset, laws.Powered, laws.Saturating)]
    rows = table.assign(D=1.0)
    full = table[np.isinf(table["weights"])].set_index("N")["loss"]
    gap = [float(loss - full[N]) for N, loss in zip(table["N"], table["loss"], strict=True)]
    low = [k for k, bits in enumerate(table["weights"]) if np.isfinite(bits)]
    columns = {c: table[c].to_numpy(dtype=float) for c in ("N", "weights")}
    return {
        "source": _source("paretoq", len(table)),
        "gaps": [{"N": columns["N"][k], "weights": columns["weights"][k], "gap": gap[k]} for k in low],
        "widths": _scores(forms, rows, Groups("weights", only=(1.58, 2.0, 3.0)), "weights of 1.58, 2 and 3 in turn"),
        "sizes": _scores(forms, rows, Groups("N"), "each size in turn"),
    }


_READ: dict[str, Callable[[Law], Any]] = {
    "f(W4A4)": lambda law: law.n_eff(1.0, weights=4, activations=4),
    "f(W4)": lambda law: law.n_eff(1.0, weights=4),
    "f(W2A2)": lambda law: law.n_eff(1.0, weights=2, activations=2),
    "best_bits": lambda law: law.best_bits(),
}


def quest_rows(tables: Mapping[str, Table]) -> Table:
    """QuEST's rotated runs at 2 bits and more, joined with the BF16 runs of Quartet, which come from the same code."""
    table, full = tables["quest-qat"], _full_precision(tables)
    ours = ["HadamardTrustQuantizer", "HalfHadamardTrustQuantizer"]
    low = table[table["weights_method"].isin(ours) & table["activations_method"].isin([*ours, "NoQuantizer"])]
    columns = ["N", "D", "loss", "weights", "activations"]
    return low[columns].merge(full[columns], how="outer")


def _full_precision(tables: Mapping[str, Table]) -> Table:
    table = tables["quartet-mxfp4"]
    return table[(table["scheme"] == "BF16") & (table["backward"] == "BF16")]


def quest(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Weights and activations of 2 to 8 bits in training: forms of f(P) by held-out widths, f(4), P*, and draws."""
    rows, full = quest_rows(tables), _full_precision(tables)
    factors = (laws.Plain, laws.Offset, laws.Powered, laws.Saturating)
    bases = (laws.Chinchilla(), laws.OuterExponent(), laws.BetaOfN())
    forms = [base | f(WEIGHTS) | f(ACTIVATIONS) for base in bases for f in factors]
    fits = {}
    for base in bases:
        found = fit(base | laws.Saturating(WEIGHTS) | laws.Saturating(ACTIVATIONS), rows, strict=False)
        fits[base.label], draws = _bootstrapped(found)
        if draws is None:
            fits[base.label]["derived"] = {name: [float(fn(found.law))] for name, fn in _READ.items()}
            continue
        bands = {name: interval(draws, fn, _LEVEL) for name, fn in _READ.items()}
        fits[base.label]["derived"] = {n: [float(_READ[n](found.law)), i.low, i.high] for n, i in bands.items()}
        if base.label == "OuterExponent":
            fits[base.label]["stored_draws"] = {k: v[:200].tolist() for k, v in draws.values.items()}
    return {
        "source": _source("quest-qat", len(rows)),
        "joined_with": _source("quartet-mxfp4", len(full)),
        "N": [float(rows["N"].min()), float(rows["N"].max())],
        "D": [float(rows["D"].min()), float(rows["D"].max())],
        "fits": fits,
        "widths": _scores(forms, rows, Groups("weights", only=(2.0, 3.0, 4.0)), "weights of 2, 3 and 4 bits in turn"),
        "sizes": _scores(forms, rows, Groups("N"), "each size in turn"),
        "free": _free_factors(rows),
        "bends": _bends(quest_weights_rows(tables), laws.Saturating(WEIGHTS), one_width=False),
    }


def _free_factors(rows: Table) -> list[dict[str, Any]]:
    """One factor for each pair of widths, without any form of f(P), on the outer-exponent base."""
    pair = [f"W{w:g}A{a:g}" for w, a in zip(rows["weights"], rows["activations"], strict=True)]
    table = rows.assign(scheme=pair)
    names = tuple(sorted({p for p in pair if p != "WinfAinf"}))
    found = fit(laws.OuterExponent() | laws.PerScheme(names), table, strict=False)
    draws = bootstrap(found, n=1000, rng=_rng())
    out = []
    for name in names:
        band = interval(draws, lambda law, n=name: law.parameters[f"f_{n}"], _LEVEL)
        first = table[table["scheme"] == name].iloc[0]
        bits = [None if np.isinf(first[c]) else float(first[c]) for c in ("weights", "activations")]
        out.append(
            {"scheme": name, "bits": bits, "f": found.parameters[f"f_{name}"], "low": band.low, "high": band.high}
        )
    return out


MAKERS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Table]], dict[str, Any]]]] = {
    "chinchilla-epoch": (("chinchilla-epoch",), chinchilla),
    "kyo-llm": (("kyo-llm",), kyo),
    "gemstones": (("gemstones",), gemstones),
    "step-law": (("step-law",), step_law),
    "quartet-mxfp4": (("quartet-mxfp4",), quartet),
    "quartet2-nvfp4": (("quartet2-nvfp4",), quartet2),
    "paretoq": (("paretoq",), paretoq),
    "quest-qat": (("quest-qat", "quartet-mxfp4"), quest),
}
