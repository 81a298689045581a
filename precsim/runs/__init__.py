"""Training runs that were, and their tables.

A `Run` is one trained model with its evaluations; `RunStore` keeps runs in a file; `load_runs` reads a table of them,
a plain DataFrame whose columns `COLUMNS` explains, and `check` refuses a bad one. `slices` are the parts of a table
that laws are fitted to, `pairs` compares runs that differ in one thing, `envelope` keeps the best at each cost;
`reading` and `columns` turn files of other origin into tables.
Nothing here knows how runs are made: neither JAX nor the models are needed.
"""

from precsim.runs.columns import Copies, Reading
from precsim.runs.tables import (
    COLUMNS,
    CorruptStore,
    Evaluation,
    ForeignStore,
    NewerStore,
    Run,
    RunStore,
    StoreError,
    Table,
    check,
    excess,
    load_runs,
    mean_over_seeds,
    table,
)

__all__ = [
    "COLUMNS",
    "Copies",
    "CorruptStore",
    "Evaluation",
    "ForeignStore",
    "NewerStore",
    "Reading",
    "Run",
    "RunStore",
    "StoreError",
    "Table",
    "check",
    "excess",
    "load_runs",
    "mean_over_seeds",
    "table",
]
