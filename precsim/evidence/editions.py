"""The second edition of the open table under the names of the first, so that one function asks both.

Selections (`precsim.evidence.rows`) name batches and budgets of the first edition. Here the second edition's networks
of the standard block get these names; nothing is computed, and no other block is among them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd

from precsim.evidence.rows import budget, second_edition
from precsim.runs import Table

#: What reads a table: `precsim.evidence.rows.open_table` or `standard_table`.
Reader = Callable[[], Table]

_MAIN = ("gate", "laws", "bits", "methods", "large", "larger")
_TWIN = ["N", "D", "language_seed", "seed", "weights"]


@functools.cache
def standard_table() -> Table:
    """The second edition's standard block, read once, with batches "main", "parts", "text" and "controls".

    - *main*: full precision, and weights of 3, 4 and 6 bits; the large networks are held out. What was trained twice
      (with other heads in the gate, or once more for GPTQ and AWQ) counts once.
    - *controls*: other rates and batch sizes, no decay, and beside them the networks of the main batch that differ in
      nothing else.
    - D is the budget itself, which steps of unequal size meet to within a thousandth.

    Not to be changed, as `precsim.evidence.rows.open_table`.

    Examples
    --------
    >>> table = standard_table()
    >>> sorted(set(table["batch"]))
    ['controls', 'main', 'parts', 'text']
    """
    return standard(second_edition())


def standard(table: Table) -> Table:
    """The same of rows of the second edition, for example of one language."""
    number = budget(table["D"]).clip(0, 8)
    even = np.rint(5e5 * 2.5**number).astype(int)
    table = table.assign(D=np.where(np.abs(np.log(table["D"] / even)) < 0.01, even, table["D"]))
    usual = table.loc[table["batch"].isin(["laws", "large", "larger"])].groupby("N")["model"].first()
    block = table.loc[table["model"].eq(table["N"].map(usual))]
    main = _once(block.loc[block["batch"].isin(_MAIN)]).assign(batch="main")
    varied = block.loc[
        block["batch"].eq("controls") | (block["batch"].eq("architecture") & block["weight_decay"].eq(0))
    ]
    beside = main["seed"].eq(0) & _cell(main).isin(set(_cell(varied)))
    controls = pd.concat([varied, main.loc[beside]]).assign(batch="controls")
    controls = controls.loc[np.isinf(controls["weights"])]
    rest = block.loc[block["batch"].isin(["parts", "text"])]
    return pd.concat([main, rest, controls], ignore_index=True)


def _once(rows: Table) -> Table:
    """Of networks that were trained more than once, the one with the most evaluations, then the last.

    The gate's last has products of bfloat16 operands, as every other network here; the table does not say so itself.
    """
    looks = rows.groupby("job").size()
    networks = rows.drop_duplicates("job").iloc[::-1]
    networks = networks.assign(looks=-networks["job"].map(looks)).sort_values("looks", kind="stable")
    return rows.loc[rows["job"].isin(networks.drop_duplicates(_TWIN)["job"])]


def _cell(rows: Table) -> pd.Series:
    return rows["N"].astype(str) + " " + rows["D"].astype(str)
