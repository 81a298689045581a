"""``precsim plan``: what to train with a budget."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from precsim.cli.law_words import believed, laws_option, region
from precsim.cli.printing import as_json, check_new, columns, count
from precsim.planning import HARDWARE, Choice, Hardware, Plan, plan
from precsim.planning.inputs import TRAINED, Unread, hold
from precsim.planning.inputs import read as read_widths
from precsim.planning.result import between_compute, more_compute
from precsim.planning.serving import MODELS, ServedModel
from precsim.writing import write


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = (
        "The parameters, tokens and widths of least predicted loss within a budget, and how much the "
        "choice matters. Give one of --compute, --hours and --dollars."
    )
    parser.add_argument("--law", default="kumar-2024", metavar="LAW", help="a published name (kumar-2024), or FIT.json")
    parser.add_argument("--fix", action="append", metavar="NAME=VALUE", help="change a parameter of the law")
    parser.add_argument("--compute", type=float, metavar="FLOP", help="budget in FLOP at 16 bits")
    parser.add_argument("--hours", type=float, help="budget in hours of one device of --hardware")
    parser.add_argument("--dollars", type=float, help="budget in dollars, with --dollars-per-hour")
    parser.add_argument("--dollars-per-hour", type=float, metavar="PRICE")
    parser.add_argument("--hardware", metavar="NAME", help="a device; without one the paper's price holds, P/16 a FLOP")
    parser.add_argument("--memory", type=float, metavar="BYTES", help="that the served weights may take")
    parser.add_argument("--kv-bytes", type=float, default=0.0, metavar="BYTES", help="of the KV cache at 16 bits")
    parser.add_argument("--smallest", type=float, default=1.0, metavar="N", help="fewest parameters to consider")
    parser.add_argument("--model", metavar="NAME", help="a fixed model by name: llama3-8b, llama3-70b, llama3-405b")
    parser.add_argument("--served-tokens", type=float, default=0.0, metavar="TOKENS", help="paid from the same budget")
    parser.add_argument("--max-tokens", type=float, metavar="TOKENS", help="size of the data set")
    parser.add_argument("--parameters", type=float, metavar="N", help="a fixed model")
    parser.add_argument("--bits", metavar="P,P,…", help="common widths to choose from, such as 4,8,16")
    parser.add_argument(
        "--choice",
        action="append",
        metavar="W,A,KV[,POST]",
        help="widths of one choice; full = not quantized; what else the law reads after them: 4,4,full,scheme=W4A4; "
        "with --memory, experts=8 needs expert_share=, the share of the active parameters that one expert holds",
    )
    parser.add_argument(
        "--free-unread", action="store_true", help="let widths that the law does not read be narrow, at no loss"
    )
    parser.add_argument("--reach", type=float, default=10.0, help="factor outside the runs that is extrapolation (10)")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="loss that does not matter (1e-3 nats/token)")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals, for a law with draws (0.95)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", metavar="REPORT.html", help="write a report with the regret curve")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    laws_option(parser)
    parser.set_defaults(run=_plan)


def hardware(name: str | None) -> Hardware | None:
    """A device by its name on the command line."""
    if name is None:
        return None
    if name.lower() not in HARDWARE:
        raise ValueError(f"no hardware {name!r}; there are {', '.join(HARDWARE)}")
    return HARDWARE[name.lower()]


def _model(name: str) -> ServedModel:
    """A model by its name on the command line."""
    if name.lower() not in MODELS:
        raise ValueError(f"no model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name.lower()]


def choices(bits: str | None, given: list[str] | None) -> tuple[Choice, ...] | None:
    """Widths to choose from; None leaves them to `plan`.

    Examples
    --------
    >>> [choice.label for choice in choices("4,16", ["full,full,full,4"])]
    ['W4A4KV4', 'W16A16KV16', 'W16A16KV16>4']
    """
    found = [Choice.tied(_bits(word, bits or "")) for word in bits.split(",")] if bits else []
    for text in given or ():
        words = [word for word in text.split(",") if "=" not in word]
        if not 3 <= len(words) <= 4:
            raise ValueError(
                f"--choice has widths of weights, activations, KV and perhaps after training; got {text!r}"
            )
        pairs = (word.strip().partition("=") for word in text.split(",") if "=" in word)
        context = {name.strip(): _context(name.strip(), value.strip(), text) for name, _, value in pairs}
        share: Any = context.pop("expert_share", None)
        found.append(Choice(*(_bits(word, text) for word in words), context=context, expert_share=share))
    return tuple(found) or None


def _context(name: str, value: str, text: str) -> str | float:
    """A further input of a choice: the name of a scheme, or a number."""
    if name == "scheme" and value:
        return value
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name}= takes a number; got {value!r} in {text!r}")
    return number


def _bits(word: str, text: str) -> float:
    if word.strip() in ("full", "inf"):
        return float("inf")
    try:
        bits = float(word)
    except ValueError:
        bits = float("nan")
    if not bits > 0:
        raise ValueError(f"widths are positive numbers of bits or full; got {word!r} in {text!r}")
    return bits


def _plan(options: argparse.Namespace) -> int:
    check_new(options.html, force=options.force)
    if not 0 < options.level < 1:
        raise ValueError(f"--level must be between 0 and 1, got {options.level}")
    law, draws = believed(options.law, options.fix)
    runs = region(options.law)
    common, named = choices(options.bits, None) or (), choices(None, options.choice) or ()
    if common and not set(TRAINED) & read_widths(law):
        raise ValueError(f"{options.law} says nothing of low precision in training; leave --bits out")
    wanted = (*dict.fromkeys(hold(law, choice) for choice in common), *named) or None
    tokens = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    parameters = options.parameters
    if options.model is not None:
        if parameters is not None:
            raise ValueError("--model and --parameters both fix the size: give one of them")
        parameters = _model(options.model).N
    found = plan(
        draws or law,
        compute=options.compute,
        hours=options.hours,
        dollars=options.dollars,
        dollars_per_hour=options.dollars_per_hour,
        hardware=hardware(options.hardware),
        memory=options.memory,
        served_tokens=options.served_tokens,
        parameters=parameters,
        kv_bytes=options.kv_bytes,
        smallest=options.smallest,
        choices=wanted,
        unread=Unread.FREE if options.free_unread else Unread.HELD,
        runs=runs,
        reach=options.reach,
        level=options.level,
        tolerance=options.tolerance,
        **tokens,
    )
    if options.html is not None:
        from precsim.cli.reports import of_plan  # loads altair

        write(options.html, of_plan(found, options.law, law))
    method = draws.method if draws else ""
    text = (
        as_json(record_of(found, options.law)) if options.json else text_of(found, options.law, options.level, method)
    )
    print(text)
    return 0


def record_of(found: Plan, law: str) -> dict[str, Any]:
    """A plan as JSON values."""
    return {
        "law": law,
        "budget": {
            "flop": found.budget.flops,
            "price": found.budget.machine.name,
            "served_tokens": found.budget.served_tokens,
        },
        "choice": found.choice.label,
        "N": found.N,
        "D": found.D,
        "loss": found.loss,
        "binding": found.binding.name,
        "spent": found.spent,
        "runs": asdict(found.runs) if found.runs else None,
        "reach": found.reach,
        "extrapolation": found.extrapolation,
        "sizes": list(found.sizes),
        "tolerance": found.tolerance,
        "near": [choice.label for choice in found.near],
        "options": [
            {
                "choice": o.choice.label,
                "bits": o.choice.bits,
                "context": dict(o.choice.context),
                "N": o.N,
                "D": o.D,
                "loss": o.loss,
                "regret": o.regret,
                "extra_compute": o.extra_compute,
                "flops": o.flops,
                "beyond": dict(o.beyond),
                "loss_interval": o.loss_interval,
                "regret_interval": o.regret_interval,
                "extra_interval": o.extra_interval,
            }
            for o in found.options
        ],
        "refused": found.refused,
        "unseen": list(found.unseen),
        "held": list(found.held),
        "lacking": {f"{width:g}": paid for width, paid in found.lacking.items()},
    }


def text_of(found: Plan, law: str, level: float, method: str) -> str:
    """A plan for a person; `method` made its intervals."""
    best = found.best
    lines = [
        f"law      {law}",
        f"budget   {found.budget.flops:.4g} FLOP at 16 bits, priced by {found.budget.machine.name}",
        f"train    {best.choice.label}: N = {best.N:.4g}, D = {best.D:.4g} tokens (D/N {best.D / best.N:.3g})",
        f"loss     {best.loss:.5f} nats/token predicted" + _within(best.loss_interval, level, method),
        f"limit    {found.binding.value}",
        *([f"spent    {found.spent:.3%} of the budget"] if found.spent < 1 - 1e-6 else []),
        *([f"runs     {_runs(found)}"] if found.runs or found.extrapolation else []),
        f"flat     N from {count(found.sizes[0])} to {count(found.sizes[1])} stays within {found.tolerance:g} nats;"
        f" so do {', '.join(choice.label for choice in found.near)}",
        "",
        columns(
            {
                "choice": o.choice.label,
                "N": f"{o.N:.3g}",
                "D": f"{o.D:.3g}",
                "loss": f"{o.loss:.5f}",
                "regret": f"{o.regret:.5f}",
                "compute": more_compute(o.extra_compute),
            }
            | ({"extrapolation": found.outside(o)} if any(map(found.outside, found.options)) else {})
            | (
                {}
                if o.regret_interval is None
                else {
                    f"regret, {level:.0%}": "{:.5f} to {:.5f}".format(*o.regret_interval),
                    f"compute, {level:.0%}": between_compute(o.extra_interval),
                }
            )
            for o in found.options
        ),
        *(f"{label}: {why}" for label, why in found.refused.items()),
        *(
            f"{found.budget.machine.name} has no products of {width:g} bits: they pay for {paid:g}"
            for width, paid in found.lacking.items()
        ),
        *(f"the law does not read the bits of {name}: what they cost is not in this plan" for name in found.unseen),
        *(f"the law does not read the bits of {name}: held at 16" for name in found.held),
    ]
    return "\n".join(lines)


def _runs(found: Plan) -> str:
    """Where the law was learned, and how far outside the plan is."""
    r = found.runs
    known = f"N {r.N[0]:.3g} to {r.N[1]:.3g}, D {r.D[0]:.3g} to {r.D[1]:.3g}" if r else "not known"
    outside = found.outside(found.best)
    return known + (f"; EXTRAPOLATION: {outside} outside (more than ×{found.reach:g})" if outside else "")


def _within(bounds: tuple[float, float] | None, level: float, method: str) -> str:
    return "" if bounds is None else f" ({level:.0%} interval {bounds[0]:.5f} to {bounds[1]:.5f}, {method})"
