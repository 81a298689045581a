"""Every drawing of the book, made from values that are quick to have: what the tests of drawings walk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import precsim as ps
from precsim import laws
from precsim.laws.published import KUMAR_2024
from precsim.laws.region import Region
from precsim.models import recipes, training_recipes
from precsim.planning import B200, H200
from precsim.planning.serving import LLAMA3_8B, MODELS
from precsim.view import drawings as draw

WEIGHTS = np.random.default_rng(0).standard_normal((64, 16))

X = np.arange(3, 9)
NOISE = np.exp(0.1 * np.random.default_rng(1).standard_normal(6))
LINKS = tuple(
    draw.Link(title, formula, [X, line], [X, line * NOISE], axes, "within a few percent")
    for title, formula, line, axes in (
        (("One weight", "is rounded"), "*h*²/12", 4.0**-X, ("bits", "error")),
        (("The loss", "feels it"), "½ Tr(*H*) *h*²/12", 2.0**X, ("predicted", "*δ*")),
        (("Bits", "decide"), "*δ* ∝ 4^{−*P*}", 3.0**-X, ("bits", "*δ*")),
        (("Data", "sharpen"), "*δ* ∝ *D*^{*γ*}", 1.7**X, ("tokens", "*δ*")),
        (("Training", "answers"), "*K* ln(1 + *δ*/*K*)", np.log(X), ("*δ*", "gap")),
    )
)
RECIPES = {
    "Kumar, 4 bits": recipes.kumar(weights=ps.INT4, activations=ps.INT4, kv=ps.INT4),
    "FP8": training_recipes.fp8_per_tensor(),
    "MXFP4": training_recipes.mxfp4(),
    "NVFP4": training_recipes.nvfp4(),
    "BF16 master": ps.Recipe(master=recipes.Stored(ps.BF16, ps.Rounding.STOCHASTIC_A)),
    "float32": ps.Recipe(),
}

SEEN = (1 / np.arange(1, 4097)) / (1 / np.arange(1, 4097)).sum()
TRUE = np.random.default_rng(2).dirichlet(np.full(64, 0.1), 4096)
SAID = (TRUE * SEEN[:, None] + 1e-5) / (TRUE * SEEN[:, None] + 1e-5).sum(axis=1, keepdims=True)
D = 5e5 * 2.5 ** np.arange(6)
WORSE = 0.4 + 200 / D**0.5 + D / 1e8
TOY = (
    laws.Chinchilla(E=0.0, A=7.8, B=41.0, alpha=0.317, beta=0.342)
    | laws.Saturating(laws.WEIGHTS, c=16.0, gamma=1.2)
    | laws.KumarDegradation(C_T=0.0026, gamma_D=0.736, gamma_N=0.275, gamma_post=0.643)
)


def _sizes(bits: float) -> list[tuple[float, float]]:
    return [(n, 1.01 * float(TOY(n, 2e7, weights=bits))) for n in 6144 * 2.0 ** np.arange(8)]


MODES = tuple(ps.Rounding[m] for m in ("NEAREST_EVEN", "NEAREST_AWAY", "TOWARD_ZERO", "UP", "DOWN", "TO_ODD"))

REGIONS = {
    "Kumar 2024": Region(N=(30e6, 220e6), D=(1.5e9, 26e9)),
    "Ouyang 2024": Region(N=(160e6, 12e9), D=(1e9, 206e9)),
    "Hoffmann 2022": Region(N=(57e6, 16.2e9), D=(0.25e9, 318e9)),
    "ours": Region(N=(6e3, 3.1e6), D=(5e5, 1.2e8)),
}

SAYINGS = {
    "weights alone": [
        draw.Said("ours, by channel", 0.61, (0.56, 0.67), ours=True),
        draw.Said("QuEST", 0.83, (0.79, 0.86)),
        draw.Said("Kumar 2024, as fitted", 0.7),
    ],
    "weights and activations": [
        draw.Said("ours, by tensor", 0.34, (0.3, 0.38), ours=True),
        draw.Said("Kumar 2024", 0.23),
    ],
}
GRADIENTS = np.exp(np.random.default_rng(5).normal(-8, 2, 4000))

FACTORS = ((1.375, 0.8125, 0.01953125, 0.0078125), (1.25, 0.1015625, 0.1171875, 0.013671875))

GALLERY: dict[str, Callable[[], draw.Drawing]] = {
    "common_end": lambda: draw.common_end((ps.INT2, ps.INT3, ps.INT4, ps.INT5), WEIGHTS),
    "divide_round_multiply": lambda: draw.divide_round_multiply([-0.52, -0.31, -0.08, 0.14, 0.43, 0.70], ps.INT4),
    "shared_scales": lambda: draw.shared_scales(
        {
            "one for the tensor": ps.Quantizer(ps.INT4, ps.PerTensor()),
            "one for each output": ps.Quantizer(ps.INT4, ps.PerChannel(-1)),
            "MXFP4: one for each 32": ps.MXFP4,
            "NVFP4: one for each 16": ps.NVFP4,
        }
    ),
    "block_memory": lambda: draw.block_memory({"MXFP4": ps.MXFP4, "NVFP4": ps.NVFP4}),
    "chain": lambda: draw.chain(
        LINKS, ("drift of *f* with *N*", "one *K* for several tensors", "the price of curvature")
    ),
    "transformer_block": lambda: draw.transformer_block(RECIPES),
    "summation_trees": draw.summation_trees,
    "where_a_sum_stops": lambda: draw.where_a_sum_stops([64, 128, 256], 1, ps.BF16),
    "pretended_slope": lambda: draw.pretended_slope(ps.INT3),
    "the_task": lambda: draw.the_task(SEEN, TRUE, SAID, ranks=(1, 10, 100, 1000)),
    "when_rounding_happens": lambda: draw.when_rounding_happens(
        D, 0.4 + 200 / D**0.5, 0.52 + 180 / D**0.5, WORSE, bits=3
    ),
    "smaller_network": lambda: draw.smaller_network(
        TOY, size=24_576, tokens=2e7, bits=(2, 3, 4, 5, 6), measured={b: _sizes(b) for b in (2, 3, 4, 5, 6, np.inf)}
    ),
    "three_strokes": lambda: draw.three_strokes(TOY, size=24_576, tokens=(3e5, 3e8), bits=(3, 4, 5), longest=4.9e7),
    "posterised": lambda: draw.posterised(
        np.random.default_rng(4).standard_normal((64, 64)) * np.geomspace(0.2, 2, 64), (ps.INT2, ps.INT3, ps.INT4)
    ),
    "bit_layout": lambda: draw.bit_layout(np.pi, (ps.FP16, ps.BF16, ps.FP8_E4M3)),
    "ulp_ladder": lambda: draw.ulp_ladder(ps.FP6_E2M3),
    "neighbors_taken": lambda: draw.neighbors_taken(ps.FP4_E2M1, 2, 3, MODES),
    "drift_of_ties": lambda: draw.drift_of_ties(ps.INT8, 16),
    "one_outlier": lambda: draw.one_outlier(np.linspace(-0.7, 0.65, 13) ** 3 * 2, ps.INT4),
    "where_runs_exist": lambda: draw.where_runs_exist(REGIONS, {m.name: (m.N, m.D) for m in MODELS.values()}),
    "roofline": lambda: draw.roofline(LLAMA3_8B, H200, (16, 8, 4)),
    "multiplier": lambda: draw.multiplier((16, 12, 8, 6, 4), B200),
    "forest": lambda: draw.forest(
        SAYINGS, name="*f*(4)", ends=(0, 1), ticks=(0, 0.25, 0.5, 0.75, 1), message="They differ."
    ),
    "under_the_roof": lambda: draw.under_the_roof(GRADIENTS, (ps.FP16, ps.FP8_E5M2, ps.FP8_E4M3), (0, 4, 8, 12)),
    "sliding_map": lambda: draw.sliding_map(
        KUMAR_2024,
        N=(1e8, 1e12),
        D=(1e9, 1e14),
        bits=(16, 8, 5, 4),
        losses=(2.6, 2.8, 3, 3.4),
        budgets=(1e21, 1e23, 1e25),
    ),
    "cut_products": lambda: draw.cut_products(*FACTORS, ps.arithmetic.H100_FP8),
    "bowl": lambda: draw.bowl([0.4, 0.35], [[1, 0.8], [0.8, 1]]),
}
