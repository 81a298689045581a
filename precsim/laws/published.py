"""Laws with the constants their authors printed, each with its source, its form and its known misprints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from precsim.laws.base import Chinchilla, Kaplan, OuterExponent, Tied
from precsim.laws.degradation import ChenDegradation, KumarDegradation, OuyangDegradation, SunPenalty
from precsim.laws.experts import Experts
from precsim.laws.law import Law
from precsim.laws.precision import Offset, PerScheme, Plain
from precsim.laws.region import Region
from precsim.laws.repetition import ExcessParameters, RepeatedTokens
from precsim.laws.setting import Effective, Tensor


@dataclass(frozen=True, slots=True)
class Published:
    """A printed law: where it stands, what it was fitted to, and what is known to be wrong or inferred.

    `runs` is the range of the runs behind it, where the source says it.
    """

    name: str
    law: Law
    source: str
    fitted_to: str
    notes: tuple[str, ...] = ()
    runs: Region | None = None


_KUMAR_BASE = Chinchilla(E=2.7648, A=4.299e3, B=1.806e4, alpha=0.4965, beta=0.4965)

#: Hoffmann et al.'s data refitted by Epoch, rounded as printed (see the notes in `CATALOG`).
EPOCH_2024 = Chinchilla(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)

#: Chinchilla's own parametric fit as printed.
HOFFMANN_2022 = Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283)

#: The constants used by Sardana et al., with the exponents to three digits.
SARDANA_2024 = HOFFMANN_2022

#: "Scaling laws for precision": the form with offsets, which is the one its constants belong to.
KUMAR_2024 = (
    _KUMAR_BASE
    | Offset(Tensor.WEIGHTS, gamma=2.6745, n=0.3037)
    | Offset(Tensor.ACTIVATIONS, gamma=2.2102, n=1.4072)
    | Offset(Tensor.KV, gamma=0.9578, n=2.4185)
    | KumarDegradation(C_T=0.0598, gamma_D=0.5068, gamma_N=0.3439, gamma_post=0.5907, b=1.1277)
)

#: The same constants in the form that the main text prints, offsets dropped: it does not give the paper's results.
KUMAR_2024_MAIN_TEXT = (
    _KUMAR_BASE
    | Plain(Tensor.WEIGHTS, gamma=2.6745)
    | Plain(Tensor.ACTIVATIONS, gamma=2.2102)
    | Plain(Tensor.KV, gamma=0.9578)
    | KumarDegradation(C_T=0.0598, gamma_D=0.5068, gamma_N=0.3439, gamma_post=0.5907)
)

#: Kumar et al.'s weight-only floating-point fit.
KUMAR_2024_FLOAT = _KUMAR_BASE | Offset(Tensor.WEIGHTS, gamma=2.8111, n=0.1240)

#: "Low-bit quantization favors undertrained LLMs": δ alone.
OUYANG_2024 = OuyangDegradation(k=0.017, gamma_D=0.5251, gamma_N=0.2261, c=5.4967)

#: The same with the authors' law of the unquantized Pythia models, which has Kaplan's form and no floor.
OUYANG_2024_LOSS = Kaplan(E=0.0, A=4.74e19 ** (0.045 / 0.399), B=7.63e10, alpha=0.045 / 0.399, g=0.399) | OUYANG_2024

#: Floating-point training with exponent bits, significand bits and block size.
SUN_2025 = Chinchilla(E=1.9061, A=69.2343, B=68973.0621, alpha=0.2368, beta=0.5162) | SunPenalty(
    alpha=0.2368, beta=0.5162, gamma=11334.5197, delta_e=3.1926, nu=2.9543
)

#: Effective parameters of compressed formats: factors alone, no base was recovered.
FRANTAR_2025 = PerScheme(("W4", "W4A4", "W1A1", "sparse50"), (0.923, 0.747, 0.067, 0.871))

#: QuEST: the repository's own fit.
QUEST_2025 = Chinchilla(E=0.0014, A=8.134, B=86.41, alpha=0.0627, beta=0.2413) | PerScheme(
    ("W1A1", "W2A2", "W3A3", "W4A4", "W8A8", "FP4", "W1", "W2", "W3", "W4"),
    (0.0205, 0.1519, 0.4331, 0.6918, 1.0162, 0.6296, 0.1384, 0.4137, 0.6531, 0.8404),
)

#: Quartet: MXFP4 forward passes act on N, backward passes on D.
QUARTET_2025 = (
    OuterExponent(E=1.35, A=1.52e5, B=5.25e5, alpha=0.589, beta=0.544, g=0.274)
    | PerScheme(("SR", "RTN", "QuEST"), (0.42, 0.59, 0.64))
    | PerScheme(("SR backward", "RTN backward", "QuEST backward"), (0.88, 0.93, 0.83), on=Effective.D)
)

#: Data that repeat and parameters in excess of them; the fit of the authors' repository, all digits.
MUENNIGHOFF_2023 = (
    Tied(E=math.exp(0.6254804), A=math.exp(6.255414), B=math.exp(7.3049974), alpha=0.3526596)
    | RepeatedTokens(R_D=15.387756)
    | ExcessParameters(R_N=5.309743, per_token=math.exp((6.255414 - 7.3049974) / 0.3526596))
)

#: Mixtures of experts, N the active parameters; the printed joint law (table 3) with the dense model as its base.
_START = 2.0732
_MU, _NU = 0.1889 - 0.0098 * math.log(_START), 0.1775 + 0.0259 * math.log(_START)
LUDZIEJEWSKI_2025 = (
    Chinchilla(E=1.3637, A=35.91 * _START**-0.2285, B=35.98 * _START**0.5529, alpha=_MU, beta=_NU)
    | Experts((0.2285 - 0.0098 * math.log(1e9)) / _MU, -0.0098 / _MU)
    | Experts((-0.5529 + 0.0259 * math.log(1e10)) / _NU, 0.0259 / _NU, on=Effective.D)
)

_CHEN_BASE = Chinchilla(E=1.9279, A=237.7042, B=596.2490, alpha=0.3022, beta=0.3022)

#: Quantization-aware training, weights and activations at 4 bits.
CHEN_2025_W4A4 = _CHEN_BASE | ChenDegradation(Tensor.TIED, k=0.1582, gamma_N=0.2186, gamma_D=0.0745, gamma_G=0.7779)

#: The same, weights only.
CHEN_2025_W4A16 = _CHEN_BASE | ChenDegradation(Tensor.WEIGHTS, k=0.2522, gamma_N=0.3589, gamma_D=0.1610, gamma_G=0.3533)

#: The same, activations only.
CHEN_2025_W16A4 = _CHEN_BASE | ChenDegradation(
    Tensor.ACTIVATIONS, k=0.1004, gamma_N=0.1816, gamma_D=0.0331, gamma_G=0.9812
)

_KUMAR_RUNS = Region(N=(30e6, 220e6), D=(1.5e9, 26e9))
_OUYANG_RUNS = Region(N=(160e6, 12e9), D=(1e9, 206e9))
_CHEN_RUNS = Region(N=(74e6, 595e6), D=(10e9, 100e9))
_HOFFMANN_RUNS = Region(N=(57e6, 16.2e9), D=(0.25e9, 318e9), per_parameter=(0.036, 341))

CATALOG: tuple[Published, ...] = (
    Published(
        "Kumar 2024",
        KUMAR_2024,
        "arXiv 2411.04330, appendix K, table 2",
        "465 runs, 30-220M parameters, 1.5-26B tokens of Dolma; integer formats, 3-12 bits",
        (
            "the sign of the offsets n is not printed: + is the one that gives the paper's own P* of 7-8 bits",
            "b in the exponent of the degradation is read by analogy; +b is inferred from figures 1 and 2",
            "equations 6, 16 and 17 print the power of P in D* as +beta/(alpha+beta); it is -alpha/(alpha+beta)",
            "equation 7 has a spare alpha and equation 28 a spare u(P)",
            "the authors claim the trends, not the constants, for other set-ups",
        ),
        runs=_KUMAR_RUNS,
    ),
    Published(
        "Kumar 2024, main-text form",
        KUMAR_2024_MAIN_TEXT,
        "arXiv 2411.04330, equations 3 and 4 with table 2",
        "as Kumar 2024",
        ("drops the offsets its constants were fitted with: gives P* = 3.5 bits and 1.6x at 4 bits",),
        runs=_KUMAR_RUNS,
    ),
    Published(
        "Kumar 2024, floating point",
        KUMAR_2024_FLOAT,
        "arXiv 2411.04330, appendix N",
        "140 weight-only floating-point runs",
        ("a 5-bit format is printed as E4M1, whose bits add up to 6",),
        runs=_KUMAR_RUNS,
    ),
    Published(
        "Ouyang 2024",
        OUYANG_2024,
        "arXiv 2411.17691",
        "Pythia 160M-12B, 1B-206B tokens, GPTQ at 2-4 bits",
        runs=_OUYANG_RUNS,
    ),
    Published(
        "Ouyang 2024, with loss",
        OUYANG_2024_LOSS,
        "arXiv 2411.17691",
        "as Ouyang 2024; the base to unquantized Pythia checkpoints",
        ("checkpoints of one long run for each size: tokens and the decay of the learning rate move together",),
        runs=_OUYANG_RUNS,
    ),
    Published(
        "Sun 2025",
        SUN_2025,
        "arXiv 2501.02423",
        "366 runs, 41-679M parameters, 10-100B tokens of Dolma; floating-point formats",
        ("channel-wise scaling acts like log2(block) = 13.16",),
        runs=Region(N=(41e6, 679e6), D=(10e9, 100e9)),
    ),
    Published("Frantar 2025", FRANTAR_2025, "arXiv 2502.16440", "one factor for each compressed format"),
    Published(
        "QuEST 2025",
        QUEST_2025,
        "arXiv 2502.05003, repository notebook",
        "C4, 30-822M parameters",
        ("E = 0.0014: E and alpha are not separately identified by these runs",),
        runs=Region(N=(30e6, 822e6), D=(0.75e9, 80e9), per_parameter=(24, 101)),
    ),
    Published(
        "Quartet 2025",
        QUARTET_2025,
        "arXiv 2505.14669",
        "C4, 30-200M parameters, MXFP4",
        ("points labelled FP8 in the repository's plot are BF16 losses",),
        runs=Region(N=(30e6, 822e6), D=(0.75e9, 80e9), per_parameter=(24, 1575)),
    ),
    Published(
        "Chen 2025, W4A4",
        CHEN_2025_W4A4,
        "arXiv 2505.14302",
        "268 runs, 74-595M parameters, 10-100B tokens",
        runs=_CHEN_RUNS,
    ),
    Published("Chen 2025, W4A16", CHEN_2025_W4A16, "arXiv 2505.14302", "as W4A4", runs=_CHEN_RUNS),
    Published("Chen 2025, W16A4", CHEN_2025_W16A4, "arXiv 2505.14302", "as W4A4", runs=_CHEN_RUNS),
    Published(
        "Muennighoff 2023",
        MUENNIGHOFF_2023,
        "arXiv 2305.16264, equations 5 and 6, appendix A",
        "runs of up to 9B parameters and 900B tokens of C4 and OSCAR, up to 1,500 epochs",
        ("reads unique_tokens=, the size of the data set; without it no token repeats",),
    ),
    Published(
        "Ludziejewski 2025",
        LUDZIEJEWSKI_2025,
        "arXiv 2502.05172, equation 6 and table 3",
        "more than 280 runs, up to 2.7B active and 5B total parameters, 1 to 32 experts",
        (
            "N is the number of active parameters; reads experts=, without which the model is dense",
            "rewritten as effective parameters and tokens of the dense model: the same numbers",
        ),
    ),
    Published(
        "Hoffmann 2022",
        HOFFMANN_2022,
        "arXiv 2203.15556, approach 3, exponents to three digits",
        "about 245 points of its figure 4",
        ("exponents rounded to 0.34 and 0.28 change a served-model plan by 15 %",),
        runs=_HOFFMANN_RUNS,
    ),
    Published(
        "Epoch 2024",
        EPOCH_2024,
        "arXiv 2404.10102",
        "240 points read off Hoffmann et al.'s figure 4",
        ("not the optimum of the stated objective: that is A 477.826, B 2143.417, alpha 0.347310, beta 0.367172",),
        runs=_HOFFMANN_RUNS,
    ),
)


def zero_shot_best_bits() -> int:
    """Dettmers & Zettlemoyer's rule: at a fixed number of total model bits, 4-bit weights are best zero-shot.

    A statement about accuracy after training, without a loss law or any dependence on tokens.

    References: dettmers2023, arXiv 2212.09720.
    """
    return 4
