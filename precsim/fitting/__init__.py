"""From a table of runs to a law, how well it is known, and how well it predicts.

`fit` turns a form and a table into a `Fit` with a `Status`: ``observations`` (what the table says) →
``starting_points`` (a scan without guesses) → ``objective`` and ``newton`` (the minimum) → ``stage`` (losses first,
then δ) → ``fits``. `bootstrap`, `interval`, `predict` and `profile` say how well it is known, `compare` how well it
predicts what it has not seen, and ``misfit`` what a wrong form costs. `gaps` is for tables in which N and D do not
vary: low precision held against full precision, without a law.
"""

from precsim.fitting.comparison import Comparison, Score, compare
from precsim.fitting.fits import Fit, FitError, Stage, Status, fit
from precsim.fitting.gap import Gap, Gaps, gaps
from precsim.fitting.splits import ByCompute, ByData, BySize, Groups, Split
from precsim.fitting.uncertainty import Draws, Interval, bootstrap, interval, predict, profile

__all__ = [
    "ByCompute",
    "ByData",
    "BySize",
    "Comparison",
    "Draws",
    "Fit",
    "FitError",
    "Gap",
    "Gaps",
    "Groups",
    "Interval",
    "Score",
    "Split",
    "Stage",
    "Status",
    "bootstrap",
    "compare",
    "fit",
    "gaps",
    "interval",
    "predict",
    "profile",
]
