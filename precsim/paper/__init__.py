"""The paper beside its own constants and beside our runs: figures, tables and claims as rows of data."""

from precsim.paper.evidence import open_table

__all__ = ["open_table"]
