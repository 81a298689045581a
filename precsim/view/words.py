"""Tables whose cells are sentences: they wrap, and stand at the left."""

from __future__ import annotations

import html
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """A table of short texts with a caption: HTML at the end of a cell, lines as text.

    Attributes
    ----------
    head : tuple of str
    rows : tuple of tuples of str
        Each as long as the head, no cell empty; the first cell names the row.
    caption : str

    Raises
    ------
    ValueError
        If a row has another length than the head, or an empty cell.

    Examples
    --------
    >>> print(Words(("equation", "proof"), (("7", "α cancels."),), "Proofs."))
    Proofs.
    equation: 7. proof: α cancels.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head) or not all(cell.strip() for cell in row):
                raise ValueError(f"a row has one cell, not empty, for each of {', '.join(self.head)}; got {row}")

    def __str__(self) -> str:
        lines = [". ".join(f"{h}: {c.rstrip('.')}" for h, c in zip(self.head, row, strict=True)) for row in self.rows]
        return "\n".join([self.caption, *(f"{line}." for line in lines)])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.head)
        body = "".join(
            f'<tr><th scope="row">{html.escape(first)}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        return (
            f'<div class="ps-scroll" tabindex="0"><table class="table ps-words"><caption>{html.escape(self.caption)}'
            f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
