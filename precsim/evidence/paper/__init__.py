"""The paper beside its own constants and beside our runs: figures, tables and claims as rows of data.

References: kumar2024. Every row is computed when it is asked for; none is typed. Constants and numbers that the
chapters print too are theirs (`precsim.evidence.fitted`, `precsim.evidence.findings`); `our_fits` has each once.
"""

from precsim.evidence.paper.collection import EXHIBITS, claims, exhibit, exhibits
from precsim.evidence.paper.exhibits import Claim, Compared, Drawing, Exhibit, Judged, Verdict

__all__ = [
    "EXHIBITS",
    "Claim",
    "Compared",
    "Drawing",
    "Exhibit",
    "Judged",
    "Verdict",
    "claims",
    "exhibit",
    "exhibits",
]
