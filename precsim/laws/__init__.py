"""Scaling laws as values: bases, precision factors and degradations, composed with ``|``.

>>> from precsim import laws
>>> law = laws.Chinchilla() | laws.Saturating(laws.WEIGHTS) | laws.KumarDegradation()
>>> law.free
('E', 'A', 'B', 'alpha', 'beta', 'c_w', 'gamma_w', 'C_T', 'gamma_D', 'gamma_N', 'gamma_post')
"""

from precsim.laws import published
from precsim.laws.base import BetaOfN, Chinchilla, Frontier, Kaplan, OuterExponent, PowerBase, Tied
from precsim.laws.bend import Bending, Bent, BentPower, BentRidge
from precsim.laws.degradation import (
    ChenDegradation,
    KumarDegradation,
    MixedDegradation,
    OuyangDegradation,
    RobustDegradation,
    SecondOrderDegradation,
    SunPenalty,
)
from precsim.laws.experts import Experts
from precsim.laws.law import Base, Composite, Degradation, Factor, Law, Part
from precsim.laws.optima import best_bits, critical_tokens, tied_factor
from precsim.laws.phases import QuantizedPhase, best_qat_share
from precsim.laws.precision import (
    BitFactor,
    Drifting,
    GaussianCapacity,
    Offset,
    PerScheme,
    Plain,
    Powered,
    Saturating,
    gaussian_capacity,
)
from precsim.laws.region import Region
from precsim.laws.repetition import ExcessParameters, RepeatedTokens
from precsim.laws.reported import Reported, reported
from precsim.laws.setting import Effective, Setting, Tensor

WEIGHTS, ACTIVATIONS, KV, TIED = Tensor.WEIGHTS, Tensor.ACTIVATIONS, Tensor.KV, Tensor.TIED

__all__ = [
    "ACTIVATIONS",
    "KV",
    "TIED",
    "WEIGHTS",
    "Base",
    "Bending",
    "Bent",
    "BentPower",
    "BentRidge",
    "BetaOfN",
    "BitFactor",
    "ChenDegradation",
    "Chinchilla",
    "Composite",
    "Degradation",
    "Drifting",
    "Effective",
    "ExcessParameters",
    "Experts",
    "Factor",
    "Frontier",
    "GaussianCapacity",
    "Kaplan",
    "KumarDegradation",
    "Law",
    "MixedDegradation",
    "Offset",
    "OuterExponent",
    "OuyangDegradation",
    "Part",
    "PerScheme",
    "Plain",
    "PowerBase",
    "Powered",
    "QuantizedPhase",
    "Region",
    "RepeatedTokens",
    "Reported",
    "RobustDegradation",
    "Saturating",
    "SecondOrderDegradation",
    "Setting",
    "SunPenalty",
    "Tensor",
    "Tied",
    "best_bits",
    "best_qat_share",
    "critical_tokens",
    "gaussian_capacity",
    "published",
    "reported",
    "tied_factor",
]
