"""Decisions: what to train, in how many bits, on which machine, and which runs to make before.

`plan` takes a law, a `Budget` and the `Choice`s of widths and returns a `Plan`: N, D, bits, predicted loss, and how
flat the choice is; ``inputs`` says what the law reads, ``search`` finds the optima. ``hardware`` knows rates and
prices of machines, ``serving`` the cost of a served token; ``design`` proposes the runs from which a law is learned
best (``information`` is its mathematics).
"""

from precsim.planning.plans import (
    A100,
    B200,
    H100,
    H200,
    HARDWARE,
    MI300X,
    TPU_V5P,
    Binding,
    Budget,
    Choice,
    Hardware,
    Option,
    Plan,
    PriceByBits,
    Unread,
    cheapest,
    plan,
)

__all__ = [
    "A100",
    "B200",
    "H100",
    "H200",
    "HARDWARE",
    "MI300X",
    "TPU_V5P",
    "Binding",
    "Budget",
    "Choice",
    "Hardware",
    "Option",
    "Plan",
    "PriceByBits",
    "Unread",
    "cheapest",
    "plan",
]
