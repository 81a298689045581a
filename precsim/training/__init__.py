"""Making runs: from a job to a table of runs.

`Job` (a run to be) → ``populations`` (which jobs share a program) → ``program`` (a scan over steps, mapped over
members) → ``engine`` (fill slots, advance, evaluate, refill) → ``sweeps`` (where, and kept as they end: ``executors``,
``workers``). ``languages`` is what is read, ``optimizers`` how weights move, ``ptq`` what is done to a trained model.
"""

from precsim.lazy import names

# Loaded on first use: a worker process must choose its processor core before it imports JAX.
__getattr__, __dir__, __all__ = names(
    __name__,
    {
        "job": "Compute Job PerLayer Recipe Trained",
        "engine": "train train_model train_population",
        "populations": "Population populations_of",
        "sweeps": "Accelerator Cluster Cores Local SweepError finished sweep",
        "optimizers": ". AdamW Constant Cosine Linear SGD Warmup WarmupStableDecay",
        "languages": ".",
        "ptq": ".",
    },
)
