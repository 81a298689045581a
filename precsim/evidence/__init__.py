"""What the runs say, ours and others'.

``experiments`` is what was trained (the open table, the chapters). `rows` is how it is read: one selection for each
purpose; `resampling` says how sure a number is; `fitted` has the laws that more than one page prints. `findings` asks
our questions of the table, `paper` those of Kumar et al. (2024), figure by figure; ``records`` keeps what was computed
from tables that others published. `architecture` and `predictions` read the table's second edition. `claim` binds a
sentence of the book to numbers of any of these. `editions` gives the second edition the first's names, so that
`headlines` asks both by one function, and `sureness` measures it against the bars for its intervals.
"""

from precsim.lazy import names

# Loaded on first use: findings need no JAX, experiments do.
__getattr__, __dir__, __all__ = names(
    __name__,
    {name: "." for name in "architecture drift editions experiments findings fitted headlines paper".split()}
    | {name: "." for name in "predictions records resampling rows sureness trends unified".split()}
    | {"claims": "claim checked counted sourced"},
)
