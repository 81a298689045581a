"""F25: who says what of one number: a dot and an interval a line, in groups, all on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says of a number.

    Attributes
    ----------
    who : str
    value : float
    interval : tuple of float, optional
        Low and high; None where none is given.
    ours : bool
        Whether it is from runs of this book.
    """

    who: str
    value: float
    interval: tuple[float, float] | None = None
    ours: bool = False

    @property
    def words(self) -> str:
        """Value and interval to two decimals."""
        said = f"{self.value:.2f}"
        return said if self.interval is None else f"{said} [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"


def forest(
    groups: Mapping[str, Sequence[Said]], *, name: str, ends: tuple[float, float], ticks: Sequence[float], message: str
) -> Drawing:
    """Draw what several sources say of one number.

    Parameters
    ----------
    groups : mapping of str to sequence of Said
        Lines under a heading each.
    name : str
        Of the number, for the axis.
    ends : tuple of float
        Of the axis.
    ticks : sequence of float
    message : str
        What the comparison comes to.

    Raises
    ------
    ValueError
        A value or an interval lies beyond the axis.

    Examples
    --------
    >>> lines = {"weights": [Said("ours", 0.61, (0.56, 0.67), ours=True), Said("theirs", 0.7)]}
    >>> forest(lines, name="f(4)", ends=(0, 1), ticks=(0, 1), message="They differ.").frames[0].description
    'f(4) by source. weights: ours 0.61 [0.56, 0.67], theirs 0.70.'
    """
    every = [one for lines in groups.values() for one in lines]
    for one in every:
        if not all(ends[0] <= v <= ends[1] for v in (one.value, *(one.interval or ()))):
            raise ValueError(f"{one.who} says {one.words}, beyond the axis from {ends[0]:g} to {ends[1]:g}")
    told = ". ".join(
        f"{group}: {', '.join(f'{one.who} {one.words}' for one in lines)}" for group, lines in groups.items()
    )
    plain = name.translate(str.maketrans("", "", "_^{}*"))
    return drawn(
        lambda width: _picture(width, groups, name, ends, ticks),
        title=f"{plain} by source",
        description=f"{plain} by source. {told}.",
        message=message,
        reading="Dot: what each says; bar: its 95 % interval, where it gives one or its runs allow one. Blue: our "
        "runs; gray: others.",
    )


def _picture(
    width: float, groups: Mapping[str, Sequence[Said]], name: str, ends: tuple[float, float], ticks: Sequence[float]
) -> Canvas:
    wide = width == WIDE
    row = 26.0 if wide else 44.0
    count = sum(map(len, groups.values()))
    canvas = Canvas(width, 30 * len(groups) + row * count + 54)
    x = Scale(ends, (226, 520) if wide else (8, width - 12))
    foot = canvas.height - 48
    for tick in ticks:
        canvas.line(x(tick), 8, x(tick), foot, "thin faint")
        canvas.text(x(tick), foot + 18, shown(tick), "small muted digits", anchor="middle")
    canvas.text(x.pixels[1], foot + 40, name, "small muted", anchor="end")
    y = 0.0
    for group, lines in groups.items():
        y += 30
        canvas.text(0, y - 8, group, "strong")
        for one in lines:
            look = "accent" if one.ours else "full"
            at = y + row / 2 + (0 if wide else 8)
            if wide:
                canvas.text(14, at + 4.5, one.who)
                canvas.text(width, at + 4.5, one.words, "digits small", anchor="end")
            else:
                canvas.text(0, at - 12, one.who, "small halo")
                canvas.text(width, at - 12, one.words, "digits small halo", anchor="end")
            if one.interval:
                canvas.line(x(one.interval[0]), at, x(one.interval[1]), at, f"{look} thick interval")
            canvas.circle(x(one.value), at, 5, f"{'solid' if one.interval else 'hollow'} {look} value")
            y += row
    return canvas
