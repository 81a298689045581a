"""The paper beside its own constants and beside our runs: figures, tables and claims as rows of data.

References: kumar2024. Every row is computed when it is asked for; none is typed.
"""

from precsim.evidence.paper.collection import EXHIBITS, claims, exhibit, exhibits
from precsim.evidence.paper.evidence import open_table
from precsim.evidence.paper.exhibits import Claim, Drawing, Exhibit, Finding, Judged, Verdict

__all__ = [
    "EXHIBITS",
    "Claim",
    "Drawing",
    "Exhibit",
    "Finding",
    "Judged",
    "Verdict",
    "claims",
    "exhibit",
    "exhibits",
    "open_table",
]
