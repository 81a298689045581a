"""Named grids: sets of jobs that a chapter or a table of runs is made from."""

from __future__ import annotations

from precsim.formats import INT2, INT3, INT4, INT5, INT6
from precsim.languages import ZipfFacts
from precsim.models import MLP
from precsim.quantize import PerChannel, Quantizer
from precsim.training import Job, Recipe

_BITS = (INT2, INT3, INT4, INT5, INT6)


def one_sitting() -> tuple[Job, ...]:
    """The sweep of the opening chapter: 180 small networks that show both precision laws, in about a minute.

    Four widths times five budgets of tokens, a factor 2.5 apart. In each cell nine models learn the same facts:
    four in float32 that differ in their seed, and one in each of INT2 to INT6 weights. All are rounded after
    training to INT2 to INT6 (one scale for each output channel). The excess loss is exact, so E = 0.

    Returns
    -------
    tuple of Job, length 180
        Four shapes; 900 evaluations after training besides the 180 as trained.

    Examples
    --------
    >>> jobs = one_sitting()
    >>> len(jobs), sorted({job.N for job in jobs}), len({job.tokens for job in jobs})
    (180, [1024, 2304, 4096, 9216], 5)
    """
    shared = {
        "model": [MLP(width) for width in (8, 12, 16, 24)],
        "language": ZipfFacts(),
        "tokens": [80_000, 200_000, 500_000, 1_250_000, 3_125_000],
        "post": tuple(_per_channel(format) for format in _BITS),
    }
    low = [Recipe(weights=_per_channel(format)) for format in _BITS]
    return Job.grid(**shared, seed=range(4)) + Job.grid(**shared, recipe=low)


def _per_channel(format) -> Quantizer:
    return Quantizer(format, PerChannel(axis=-1))
