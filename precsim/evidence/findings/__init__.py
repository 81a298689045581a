"""What the open table of runs was made to decide: each question asked of it once, with an interval and a bar.

Every function takes the table and returns a `Finding`, or several. Bars were set before the runs were made; a bar
that names the paper is the paper's claim; "stated" asked for a number and its interval, whatever they are. Which
rows a question is asked of stands in `precsim.evidence.rows`, how an interval is made in `precsim.evidence.resampling`,
and laws that more than one place needs are in `precsim.evidence.fitted`.
"""

from __future__ import annotations

from precsim.evidence.findings.controls import (
    decays,
    growth,
    growth_under_decay,
    learning_rate,
    schedule,
    steps,
    weight_decay,
)
from precsim.evidence.findings.counts import base_law, diverged, evaluations, missing, models, seed_noise, transformers
from precsim.evidence.findings.critical import Turn, critical_data, turns
from precsim.evidence.findings.damage import (
    damage_falls,
    damage_law,
    damage_law_everywhere,
    damage_rate,
    damage_rises,
    extrapolated,
    held_out_size,
    held_out_worst,
    predictions,
    second_order,
)
from precsim.evidence.findings.effective import (
    Part,
    effective_parameters,
    extrapolation,
    factor_of,
    held_out,
    remaining,
    said,
    trial,
    trial_of_facts,
)
from precsim.evidence.findings.elsewhere import facts, methods, text, training_elsewhere
from precsim.evidence.findings.finding import Finding
from precsim.evidence.findings.joint import product_law, sensitivity, shares
from precsim.evidence.findings.number_formats import Worth, after_training, formats, formats_rounded_to, in_training
from precsim.evidence.findings.served import best_training, damage_ratios, robustness, unified_law
from precsim.runs import Table

__all__ = [
    "TOPICS",
    "Finding",
    "Part",
    "Turn",
    "Worth",
    "after_training",
    "all_of",
    "base_law",
    "best_training",
    "critical_data",
    "damage_falls",
    "damage_law",
    "damage_law_everywhere",
    "damage_rate",
    "damage_ratios",
    "damage_rises",
    "decays",
    "diverged",
    "effective_parameters",
    "evaluations",
    "extrapolated",
    "extrapolation",
    "factor_of",
    "facts",
    "formats",
    "formats_rounded_to",
    "growth",
    "growth_under_decay",
    "held_out",
    "held_out_size",
    "held_out_worst",
    "in_training",
    "learning_rate",
    "methods",
    "missing",
    "models",
    "on",
    "predictions",
    "product_law",
    "remaining",
    "robustness",
    "said",
    "schedule",
    "second_order",
    "seed_noise",
    "sensitivity",
    "shares",
    "steps",
    "text",
    "training_elsewhere",
    "transformers",
    "trial",
    "trial_of_facts",
    "turns",
    "unified_law",
    "weight_decay",
]

#: Questions by topic, in the order in which they were asked.
TOPICS = {
    "the table": (models, transformers, evaluations, missing, diverged, base_law, seed_noise),
    "rounding after training": (
        damage_rate,
        damage_rises,
        damage_falls,
        damage_law,
        damage_law_everywhere,
        held_out_size,
        held_out_worst,
        second_order,
    ),
    "critical data": (critical_data,),
    "training in few bits": (held_out, effective_parameters),
    "several tensors at once": (product_law, sensitivity),
    "formats": (formats,),
    "trained and served in few bits": (robustness, unified_law, best_training),
    "what else could do it": (schedule, decays, growth, weight_decay, growth_under_decay, learning_rate, steps),
    "elsewhere": (facts, text, training_elsewhere, methods),
}


def all_of(table: Table) -> tuple[Finding, ...]:
    """Every finding, in the order in which the questions were asked."""
    return tuple(finding for topic in TOPICS for finding in on(topic, table))


def on(topic: str, table: Table) -> tuple[Finding, ...]:
    """The findings on one topic.

    Raises
    ------
    ValueError
        If there is no such topic.
    """
    if topic not in TOPICS:
        raise ValueError(f"no findings on {topic!r}; the topics are {', '.join(TOPICS)}")
    answers = [question(table) for question in TOPICS[topic]]
    return tuple(one for answer in answers for one in (answer if isinstance(answer, tuple) else (answer,)))
