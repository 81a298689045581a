"""Small tools that Altair cannot draw: one script each, for the book's pages and for JupyterLab alike."""

from __future__ import annotations

import functools
import html
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from precsim.numerics.formats import Format, table
from precsim.view.book import WIDGET


@dataclass(frozen=True, slots=True)
class Bits:
    """The bits of one code of a format, to be flipped; the value and its formula stand below.

    Parameters
    ----------
    format : Format
        Of at most 16 bits.
    code : int
        The code to begin with, 0 <= code < 2**bits.

    Raises
    ------
    ValueError
        The format is wider than 16 bits, or it has no such code.

    Notes
    -----
    A value to be shown at the end of a cell. In JupyterLab it is live if anywidget is installed; the page of
    the book needs no kernel; everything else shows the sentence of `text`.

    Examples
    --------
    >>> import precsim as ps
    >>> Bits(ps.FP8_E4M3, 0b0_0111_100).text
    'FP8_E4M3: code 60 = 0 0111 100 in bits has the value 1.5.'
    """

    format: Format
    code: int = 0

    def __post_init__(self) -> None:
        """Check the format's width and the code."""
        if self.format.bits > 16:
            raise ValueError(f"{self.format.name} has {self.format.bits} bits; at most 16 fit in a row of buttons")
        self.format.value(self.code)

    @property
    def text(self) -> str:
        """The static view: code, its bits in fields, and its value."""
        fmt = self.format
        digits = f"{self.code:0{fmt.bits}b}"
        sign = int(fmt.signed)
        fields = [digits[:sign], digits[sign : sign + fmt.exponent_bits], digits[sign + fmt.exponent_bits :]]
        value = f"{fmt.value(self.code):g}"
        return f"{fmt.name}: code {self.code} = {' '.join(filter(None, fields))} in bits has the value {value}."

    @property
    def state(self) -> dict[str, Any]:
        """What the script needs, in JSON types."""
        names = (
            "name bits signed exponent_bits precision bias emin magnitudes has_zero has_infinity has_negative_zero"
        ).split()
        return {"format": {name: getattr(self.format, name) for name in names}, "code": self.code}

    def _repr_mimebundle_(self, **_: Any) -> Any:
        description = f"The bits of a code of {self.format.name}: press one to flip it and read the value."
        page = {"module": "bits", "state": self.state, "description": description, "static": html.escape(self.text)}
        bundle = {WIDGET: page, "text/html": f"<p>{html.escape(self.text)}</p>", "text/plain": self.text}
        live = _anywidget()
        if live is None:
            return bundle
        view = live(**self.state)._repr_mimebundle_()
        data, metadata = view if isinstance(view, tuple) else (view, {})
        return {**(data or {}), **bundle}, metadata


def bit_flipper(format: Format, code: int | None = None) -> Bits:
    """Return the bits of a code of a format, to be flipped by the reader; without a code, that of 1.

    Examples
    --------
    >>> import precsim as ps
    >>> bit_flipper(ps.FP8_E4M3).text
    'FP8_E4M3: code 56 = 0 0111 000 in bits has the value 1.'
    """
    if code is None:
        code = next((c for c in range(2 ** min(format.bits, 16)) if format.value(c) == 1.0), 0)
    return Bits(format, code)


@dataclass(frozen=True, slots=True)
class FormatTable:
    """Bits, precision, exponents, limits and unit roundoff of formats, as a table at the end of a cell.

    Examples
    --------
    >>> import precsim as ps
    >>> print(FormatTable((ps.FP4_E2M1,)))
    | format | bits | p | emin | emax | maximum | smallest normal | smallest subnormal | u | Inf | NaN |
    | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |
    | FP4_E2M1 | 4 | 2 | 0 | 2 | 6 | 1 | 0.5 | 2^-2 | no | no |
    """

    formats: tuple[Format, ...]

    def __str__(self) -> str:
        return table(*self.formats)

    def _repr_html_(self) -> str:
        head, _, *rows = [line.strip("| ").split(" | ") for line in str(self).splitlines()]
        cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{_power(html.escape(cell))}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        return f'<table class="table ps-formats"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def _power(text: str) -> str:
    return re.sub(r"\^(-?\d+)$", r"<sup>\1</sup>", text)


def format_table(*formats: Format) -> FormatTable:
    """Return a table of the formats' bits, precision, exponents, limits and unit roundoff."""
    if not formats:
        raise ValueError("a table needs a format, for example format_table(ps.FP8_E4M3)")
    return FormatTable(formats)


@functools.cache
def _anywidget() -> Any:
    """The live widget's class, or None where anywidget is not installed."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class LiveBits(anywidget.AnyWidget):
        _esm = files("precsim.view").joinpath("modules/bits.js").read_text(encoding="utf-8")
        _css = files("precsim.view").joinpath("modules/bits.css").read_text(encoding="utf-8")
        format = traitlets.Dict().tag(sync=True)
        code = traitlets.Int().tag(sync=True)

    return LiveBits
