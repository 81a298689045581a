"""The rows of the open table that questions are asked of: one selection for each purpose.

Three kinds of question need three kinds of cut, and no more:

- *Laws* (`full_precision`, `damage`, `trained_weights`, `trained_and_rounded`) are fitted to every budget, as means
  over cells, because they are to say where a turn is, and turns lie among the shortest runs.
- *Bars* that were set before the runs (`late`) ask of D/N ≥ 60, where damage is well above its noise.
- *Single networks* (`networks`, `beside`) are read one by one as the paper reads them, of D/N ≥ 20: below it a run has
  a few hundred steps, and what it loses by few bits is as large as the luck of its seed.

Sizes below `SMALLEST` have a single head and lie off every law: no selection for laws has them. Rows that the table
flags as held out stay in (a fit leaves them out by itself) unless a docstring says otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from precsim.runs import Table, excess, load_runs, slices
from precsim.runs.pairs import penalties

SMALLEST = 24_000  # parameters of the smallest size that is expected to follow a law
UNDERTRAINED = 60  # tokens per parameter below which damage is still small
SETTLED = 20  # tokens per parameter below which single networks say little
FULL = ("main", "repeats")  # batches of models trained in full precision whose weights are rounded in every way
MEASURED = (*FULL, "brief")  # with the runs that were made to find the turns at 2 bits
TENSORS = ("weights", "activations", "kv")
#: What makes two networks partners apart from the bits of their training.
CELL = ("N", "D", "language", "language_seed", "seed", "learning_rate", "weight_decay", "schedule", "batch_tokens")
_TREATMENT = ("weights_format", "weights_scaling", "activations_format", "activations_scaling", "kv_format", "kv")


@functools.cache
def open_table() -> Table:
    """The open table, read and checked once.

    For everything here that is not handed a table; not to be changed.

    Raises
    ------
    FileNotFoundError, ValueError
        As `precsim.runs.load_runs`: the file is missing, or not the one that was shipped.
    """
    return load_runs("precsim-2026")


@functools.cache
def second_edition() -> Table:
    """The open table's second edition as it is, read and checked once; under the first's names: `editions`."""
    return load_runs("precsim-2027")


# -- laws: every size and budget ---------------------------------------------------------------------------------------


def sized(rows: Table) -> Table:
    """Rows of sizes that are expected to follow a law."""
    return rows.loc[rows["N"] >= SMALLEST]


def free(rows: Table) -> Table:
    """Rows that are not held out."""
    return rows.loc[~rows["holdout"].astype(bool)]


def late(rows: Table, least: float = UNDERTRAINED) -> Table:
    """Rows of at least so many tokens per parameter.

    60 for the bars on δ: what its rate is, and what its law explains and predicts. 20 (`SETTLED`) for single networks.
    """
    return rows.loc[rows["D"] >= least * rows["N"]]


def full_precision(table: Table) -> Table:
    """Models as trained in full precision, for the base law: A, B, α and β, wherever they are printed.

    Used by `precsim.evidence.fitted.base` and ``served``, and the chapter on power laws. The main batch and its
    repeats, 14 seeds instead of 2 at the sizes in the middle.
    """
    return sized(slices.as_trained(table, batch=FULL, only=()))


def damage(table: Table, bits: tuple[float, ...] = (3, 4, 5, 6), method: str = "rtn") -> Table:
    """The same models with their weights rounded to integers by channel, for the law of δ: C_T, γ_D, γ_N and γ_post.

    Used by `precsim.evidence.fitted.damage` and ``served``, the findings on δ, and the chapter on degradation. Without
    rows that are held out, so that means and steps of it can be taken too. From 3 bits, because a symmetric
    grid of 2 bits has three values and is off the exponential; other `bits` where no law is fitted. GPTQ and AWQ
    were run on 14 networks only.
    """
    return free(sized(slices.rounded_after(table, batch=FULL, bits=bits, method=method)))


def turning(table: Table, bits: tuple[float, ...] = (2, 3, 4)) -> Table:
    """The same, with the shortest runs and those held out, for measured turns: critical data are read off losses here.

    Used by `precsim.evidence.findings.turns` and, through it, by the paper's figure 1 and claim 3. At 2 bits the least
    losses lie at 0.4 to 0.7 million tokens: any cut in D/N would put its own edge in their place.
    """
    return sized(slices.rounded_after(table, batch=MEASURED, bits=bits))


def curved(table: Table, batch: str | tuple[str, ...] = FULL, bits: tuple[int, ...] = (3, 4, 5, 6)) -> Table:
    """Rounded models with the damage that their curvature predicts, for the theory of second order.

    Used by `precsim.evidence.findings.second_order` and the derivations of rounding noise and of why data hurts. δ
    positive, because it is compared in logarithm. Other batches have other schedules and rates; rows in the course of
    training are among them.
    """
    rows = in_full(table.loc[table["batch"].isin([batch] if isinstance(batch, str) else batch)])
    rows = free(sized(rounded(rows, bits)))
    return rows.loc[np.isfinite(rows["second_order"])].reset_index(drop=True)


def trained_weights(table: Table) -> Table:
    """Models as trained with weights in 2 to 8 bits or in full precision, for f: the shares of parameters f(P) and P*.

    Used by `precsim.evidence.fitted.weights`, the trials of forms, and every chapter that fits f. The main batch alone:
    repeats exist in full precision only, and would weigh that side of the comparison.
    """
    return sized(slices.as_trained(table))


def trained_and_rounded(table: Table, bits: tuple[float, ...] = (2, 3, 4, 5, 6)) -> Table:
    """Models trained in 3 bits or more and rounded to fewer, for robustness: δ against both widths; none held out.

    Used by `precsim.evidence.findings.damage_ratios`, `precsim.evidence.fitted.robust`, the chapter on one law and the
    paper's figures 7 and 21. Not those trained in 2 bits, which have nothing to be rounded to.
    """
    rows = slices.rounded_after(table, bits=bits, trained=(3, 4, 5, 6, 8, np.inf))
    rows = free(sized(rows))
    return rows.loc[rows["post"] < rows["weights"]]


def served_like_trained(table: Table, bits: float) -> Table:
    """Models trained in these bits or more, all rounded to them: `precsim.evidence.findings.best_training`.

    Those trained in the bits that they are served in are among them, unlike in `trained_and_rounded`: they may be best.
    """
    rows = free(sized(slices.rounded_after(table, bits=(bits,), trained=(3, 4, 5, 6, 8, np.inf))))
    return rows.loc[rows["weights"] >= bits]


def two_ways(table: Table, N: int = 24_576) -> Table:
    """One network of the main batch in both ways, trained in 2 to 8 bits and rounded to them: the home page's picture.

    Columns way, bits, N, D, gap: weights in integers by channel, to nearest, equal languages and seeds in every cell.
    Full precision stands in both ways.
    """
    ended = _ended(table, "main")
    ended = ended.loc[
        (ended["N"] == N) & np.isinf(ended[["activations", "kv", "post_activations", "post_kv"]]).all(axis=1)
    ]
    trained = ended.loc[np.isinf(ended["post"])].assign(way="trained", bits=lambda r: r["weights"])
    rounded = ended.loc[
        np.isinf(ended["weights"])
        & (ended["post_method"] == "rtn")
        & (ended["post_scaling"] == "channel")
        & ended["post_format"].str.startswith("INT")
    ].assign(way="rounded", bits=lambda r: r["post"])
    rounded = joined(rounded, trained.loc[np.isinf(trained["bits"])].assign(way="rounded"))
    both = joined(trained, rounded.loc[rounded["bits"].isin(trained["bits"])])
    return both[["way", "bits", "N", "D", "gap", "job", "language_seed", "seed"]]


def repeated(table: Table) -> Table:
    """Models as trained, for the spread between seeds: `precsim.evidence.findings.seed_noise`.

    Held out or not, because nothing is fitted.
    """
    return sized(slices.as_trained(table, batch=FULL))


def standard_block(table: Table) -> Table:
    """Of the second edition, the standard block in full precision, for its laws: every size and budget, none held out.

    Used by `precsim.evidence.predictions`. The batches `gate` and `laws`; of the gate the heads that the size has
    elsewhere, products in TF32 and with operands of bfloat16 alike, which do not differ (that is what it is for).
    """
    here = table.loc[table["batch"].isin(["gate", "laws"]) & np.isinf(table["weights"])]
    usual = here.groupby("N")["model"].transform(lambda models: models[here["batch"].eq("laws")].iloc[0])
    return free(here.loc[here["model"].eq(usual) & here["step"].eq(here["steps"])])


def standard_block_trained(table: Table) -> Table:
    """The same as trained, in full precision and with weights in few bits, for forms of what few bits cost.

    Used by `precsim.evidence.drift` and the chapter on rivals. The few bits are those of the batches `gate` and `bits`.
    """
    full = standard_block(table)
    few = table["batch"].isin(["gate", "bits"]) & np.isfinite(table["weights"])
    few = table.loc[few & table["model"].isin(set(full["model"])) & table["step"].eq(table["steps"])]
    both = pd.concat([full, few])
    return both.loc[both["post_method"].eq("none")].reset_index(drop=True)


#: Selections that are of the second edition; all others are of the first, which a line of sources says.
SECOND_EDITION = (standard_block, standard_block_trained)


# -- several tensors, formats ------------------------------------------------------------------------------------------


def parts(table: Table) -> Table:
    """Models as trained with any tensors in few bits, for the factors of tensors and their product.

    Used by the findings on several tensors, `precsim.evidence.fitted.tensors` and the unified law. The batch that was
    made for it; each of its networks has its partner in full precision there. Every budget, as for laws.
    """
    return sized(slices.as_trained(table, batch="parts", only=TENSORS))


def parts_rounded(table: Table, bits: tuple[float, ...] = (3, 4)) -> Table:
    """The same with their weights rounded afterwards, for the law of all tensors: `precsim.evidence.unified`."""
    return sized(slices.rounded_after(table, batch="parts", bits=bits, trained=None, only=TENSORS))


def formats_in_training(table: Table) -> tuple[Table, Table]:
    """(Models trained in other formats with integers of their cells beside them, models in full precision).

    Used by `precsim.evidence.findings.in_training` and ``formats``. The batch of formats has neither integers nor full
    precision: they are the main batch's, and that of parts has some of its seeds.
    """
    ours = _ends(table, "formats")
    main, more = slices.as_trained(table), slices.as_trained(table, batch="parts", only=())
    twins = ["N", "D", "language_seed", "seed"]
    integers = main.loc[np.isfinite(main["weights"])].merge(ours[twins].drop_duplicates(), on=twins)
    return joined(ours, integers), joined(main.loc[np.isinf(main["weights"])], more)


def formats_after_training(table: Table) -> Table:
    """Models trained in full precision, rounded to every format, for what a format is worth.

    Used by `precsim.evidence.findings.after_training` and ``formats``. D/N ≥ 60 as for the bars on δ: a ratio of two
    damages needs both above their noise.
    """
    rows = table.loc[table["batch"].isin(FULL) & np.isinf(table["weights"]) & table["post_method"].eq("rtn")]
    return late(free(sized(rows.loc[np.isinf(rows["post_activations"]) & np.isinf(rows["post_kv"])])))


def methods(table: Table) -> Table:
    """Networks that were rounded by all three methods, to 3, 4 and 5 bits, for ratios of their δ in the same network.

    Used by `precsim.evidence.findings.methods` and the paper's figures 10 and 11.
    """
    rows = table.loc[(table["batch"] == "main") & table["post_method"].isin(["rtn", "gptq", "awq"])]
    rows = rows.loc[rows["job"].isin(set(rows.loc[rows["post_method"] == "gptq", "job"]))]
    return free(rows.loc[(rows["post_scaling"] == "channel") & rows["post_format"].isin(["INT3", "INT4", "INT5"])])


def treatments(table: Table) -> Table:
    """Every integer rounding by channel of the main batch's models in full precision, by every method.

    Used by the chapter on rounding after training, which draws single networks: every size and budget.
    """
    rows = table.loc[(table["batch"] == "main") & (table["step"] == table["steps"]) & np.isinf(table["weights"])]
    rows = rows.loc[np.isfinite(rows["post"]) & (rows["post_scaling"] == "channel")]
    return free(rows.loc[rows["post_format"].str.startswith("INT") & np.isinf(rows["post_activations"])])


def penalties_of_parts(table: Table) -> Table:
    """What one tensor in few bits costs, or all three in equally many, for the chapter on tensors.

    Returns
    -------
    DataFrame
        Columns "part" ("weights", "activations", "KV cache", "all three"; with ", per token" where activations have a
        scale for each), "bits", "penalty" [nats/token], and those of the table.
    """
    rows = parts(table)
    low = np.isfinite(rows[list(TENSORS)].to_numpy())
    words = np.array(["weights", "activations", "KV cache"])
    part = np.where(low.all(axis=1), "all three", np.where(low.any(axis=1), words[low.argmax(axis=1)], "none"))
    part = np.where(rows["activations_scaling"] == "token", np.char.add(part, ", per token"), part)
    bits = rows[list(TENSORS)].where(low)
    rows = rows.assign(part=part, bits=bits.min(axis=1).fillna(np.inf))
    shown = np.isin(low.sum(axis=1), (0, 1, 3)) & ~(bits.max(axis=1) > bits.min(axis=1)).to_numpy()
    return penalties(rows.loc[shown], by=["N", "D", "language_seed", "seed"], full={"part": "none"})


# -- what else could do it, and elsewhere ------------------------------------------------------------------------------


def schedules(table: Table) -> Table:
    """Models under other schedules of the rate, rounded to 4 bits at the end, for the part of the decay in δ.

    Used by the findings on schedules and the paper's figure 12: every budget, all of one design.
    """
    return slices.rounded_after(table, batch="schedules", bits=(4,))


def controls(table: Table) -> Table:
    """Models of other rates, decays and batch sizes, as trained and rounded to 4 bits, with their budget's number.

    Used by the findings on weight decay, rates and steps, which compare within the batch.
    """
    trained = slices.as_trained(table, batch="controls", only=())
    both = joined(trained, slices.rounded_after(table, batch="controls", bits=(4,)))
    return both.assign(budget=budget(both["D"]))


def elsewhere(table: Table, batch: str) -> tuple[Table, Table]:
    """(As trained, rounded afterwards) of the batch of MLPs on facts or of networks on real text: "facts", "text".

    Every size, because a batch has few and each is a model of its own.
    """
    return slices.as_trained(table, batch=batch), slices.rounded_after(table, batch=batch)


# -- single networks, as the paper reads them --------------------------------------------------------------------------


def networks(table: Table) -> Table:
    """The main batch with all evaluations at the end of each run, for the paper's tables and pairs read one by one.

    Loss is the gap; D/N ≥ 20; none held out.
    """
    return free(late(sized(_ended(table, "main")), SETTLED))


def networks_held_out(table: Table) -> Table:
    """Networks of the main batch that no fit has seen, the longest and the largest, for the paper's table 1."""
    rows = late(sized(_ended(table, "main")), SETTLED)
    return rows.loc[rows["holdout"].astype(bool)]


def networks_on_text(table: Table) -> Table:
    """The batch of real text, for the paper's figure 8: its entropy is not known, and its loss is no gap."""
    return late(sized(table.loc[(table["batch"] == "text") & (table["step"] == table["steps"])]), SETTLED)


def networks_of_parts(table: Table) -> Table:
    """The batch of parts as trained, for the paper's figures 5, 13, 14 and 20: the rows of `parts`, loss is the gap."""
    return excess(parts(table))


def beside(table: Table, batch: str) -> Table:
    """A batch, all evaluations, with networks of other batches in the same circumstances, for the paper's pairs.

    These are of the main batch or in full precision, in its sizes, data, languages, seeds and settings of the
    optimizer: a job is made in the first batch that needs it, so the partners of one batch may stand in another. A
    setting that was trained in two batches counts once. Loss is the gap; D/N ≥ 20; none held out.
    """
    every = _ended(table)
    mine = every.loc[every["batch"] == batch]
    every = every.loc[every["batch"].isin([batch, "main"]) | every["job"].isin(in_full(every)["job"])]
    same = [every[name].isin(mine[name].unique()) for name in CELL]
    sizes = every.set_index(["N", "D"]).index.isin(mine.set_index(["N", "D"]).index)
    rows = free(late(every.loc[np.logical_and.reduce(same) & sizes], SETTLED))
    rows = rows.assign(other=rows["batch"] != batch).sort_values("other", kind="stable")  # its own first
    first = rows.drop_duplicates("job").drop_duplicates([*CELL, *_TREATMENT])["job"]
    return rows.loc[rows["job"].isin(first)].drop(columns="other")


def served_in_few_bits(table: Table) -> tuple[Table, Table]:
    """(Activations in 4 bits by token, weights in 4 bits with one scale), both after training: the paper's figure 13.

    Of networks trained in full precision, in every batch; a batch rounded one of them only, so pairs are few.
    """
    rows = in_full(_ended(table))
    alone = np.isinf(rows["post"]) & np.isinf(rows["post_kv"])
    activations = late(rows.loc[(rows["post_activations"] == 4) & alone], SETTLED)
    by_tensor = (rows["post_scaling"] == "tensor") & (rows["post_format"] == "INT4")
    return activations, rows.loc[by_tensor & np.isinf(rows["post_activations"])]


def untreated(rows: Table) -> Table:
    """Of single networks, the evaluations as trained."""
    return rows.loc[rows["post_method"] == "none"]


def in_full(rows: Table) -> Table:
    """Of single networks, those trained in full precision."""
    return rows.loc[np.isinf(rows[list(TENSORS)]).all(axis=1)]


def rounded(rows: Table, bits: Sequence[int] = (3, 4, 5, 6), scaling: str = "channel") -> Table:
    """Of single networks, evaluations with weights rounded to nearest integers alone, δ positive."""
    kept = rows.loc[(rows["post_method"] == "rtn") & (rows["post_scaling"] == scaling)]
    kept = kept.loc[kept["post_format"].isin([f"INT{b}" for b in bits])]
    return kept.loc[np.isinf(kept["post_activations"]) & np.isinf(kept["post_kv"]) & (kept["delta"] > 0)]


def paired(rows: Table) -> Table:
    """Networks as trained in few bits beside their partner in full precision, which differs in nothing else.

    Columns of the former, and penalty: its loss less the partner's [nats/token]; partner: the partner's job.
    """
    rows = untreated(rows)
    off = np.isinf(rows[list(TENSORS)]).all(axis=1)
    full = rows.loc[off, [*CELL, "loss", "job"]].rename(columns={"loss": "full", "job": "partner"})
    both = rows.loc[~off].merge(full, on=list(CELL))
    return both.assign(penalty=both["loss"] - both["full"])


# -- helpers of selections ---------------------------------------------------------------------------------------------


def against_full(rows: Table, full: Table, by: Sequence[str] = ("N", "D", "language_seed", "seed")) -> Table:
    """Rows with a column ``ratio``: their gap over that of the model in full precision that is equal in all of `by`.

    Where there are several such models, over the geometric mean of their gaps. Rows without one are left out.
    """
    reference = np.log(full["gap"]).groupby([full[name] for name in by]).mean()
    at = reference.reindex(rows.set_index(list(by)).index).to_numpy(dtype=float)
    ratio = rows["gap"].to_numpy(dtype=float) / np.exp(at)
    return rows.assign(ratio=ratio).loc[np.isfinite(ratio)].reset_index(drop=True)


def budget(D: ArrayLike) -> np.ndarray:
    """Number of the budget (0 for 500,000 tokens, each 2.5 times the last) that a number of tokens belongs to.

    Budgets are met to within one step of training, so that D differs in its last digits between batch sizes.

    Examples
    --------
    >>> budget([499_712, 1_250_000, 122_071_040]).tolist()
    [0, 1, 6]
    """
    return np.rint(np.log(np.asarray(D, dtype=float) / 5e5) / np.log(2.5)).astype(int)


def joined(*tables: Table) -> Table:
    """The rows of all tables, numbered anew; columns that one lacks are NaN there."""
    return pd.concat(tables, ignore_index=True)


def _ends(table: Table, batch: str) -> Table:
    """Networks of a batch as trained, in any format."""
    return table.loc[(table["batch"] == batch) & (table["step"] == table["steps"]) & table["post_method"].eq("none")]


def _ended(table: Table, batch: str = "") -> Table:
    """Evaluations at the end of runs that did not diverge and whose language has a known entropy; loss is the gap."""
    kept = (table["step"] == table["steps"]) & table["gap"].notna() & ~table["diverged"].astype(bool)
    return excess(table.loc[kept & (table["batch"] == batch) if batch else kept])
