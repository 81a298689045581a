"""Files of public repositories as tables, each read in the form in which its authors keep it.

Every reader takes the bytes of the files in the order of `PublicTable.files`, and gives the columns of its source;
every arrangement takes such a table and gives ours. A reader also takes one ``data.csv`` with the source's columns.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

_QUARTET_TOKENS = 512 * 512  # of one iteration: sequence length times batch, as in the repository's configuration
_QUARTET_SIZES = {  # parameters without embedding, from the notebook's own table
    "30M": 30_482_560,
    "50M": 49_556_736,
    "100M": 102_777_856,
    "200M": 203_188_480,
    "430M": 443_068_288,
    "800M": 822_151_168,
}

_PARETOQ_SIZES = {
    "125M": 125e6,
    "350M": 345e6,
    "600M": 603e6,
    "1B": 1005e6,
    "1.5B": 1.5e9,
}  # parameters
_PARETOQ_TOKENS = 1e12  # of pre-training; 10 to 30 billion more with quantized weights
_QUARTET2_FORWARD = {"quartetv2", "nvidia", "tetrajetv2", "forward_main", "forward_quartet"}  # weights and activations
_QUARTET2_PLAIN = {
    "scheme",
    "Nstr",
    "N",
    "D",
    "D/N",
    "bops",
    "loss",
}  # all other columns are settings of the quantizers


def csv(files: Sequence[bytes]) -> pd.DataFrame:
    """One file of comma-separated values."""
    return pd.read_csv(io.BytesIO(files[0]))


def chinchilla(files: Sequence[bytes]) -> pd.DataFrame:
    """Epoch's points: model size and training FLOP; D = C / (6 N)."""
    raw = csv(files).rename(columns={"Model Size": "N", "Training FLOP": "C"})
    return raw[["N", "C", "loss"]].assign(D=raw["C"] / (6 * raw["N"]))


def gemstones(files: Sequence[bytes], subsets: Sequence[str]) -> pd.DataFrame:
    """One file of JSON lines for each selection of the authors."""
    names = {"params_active_precise": "N", "tokens": "D", "final_loss": "loss"}
    frames = [pd.read_json(io.BytesIO(f), lines=True, precise_float=True).rename(columns=names) for f in files]
    return pd.concat([f.assign(subset=s) for f, s in zip(frames, subsets, strict=True)], ignore_index=True)


def quest(files: Sequence[bytes]) -> pd.DataFrame:
    """A list of runs with their configuration."""
    names = {"non_embedding_parameters": "N", "tokens": "D"}
    fields = ("non_embedding_parameters", "tokens", "w_bits", "a_bits", "w_quant", "a_quant", "loss")
    rows = []
    for run in json.loads(files[0]):
        args = run["args"]
        rows.append({names.get(n, n): run[n] for n in fields} | {n: args.get(n) for n in ("lr", "iterations", "seed")})
    return pd.DataFrame(rows)


def quartet(files: Sequence[bytes]) -> pd.DataFrame:
    """The nested literal in the notebook: size -> forward -> backward -> iterations -> loss."""
    for cell in json.loads(files[0])["cells"]:
        source = "".join(cell["source"])
        if source.startswith("size_fwd_bwd_iters_loss"):
            nested = ast.literal_eval(source.partition("=")[2].strip())
            break
    else:
        raise ValueError("the notebook has no cell that sets size_fwd_bwd_iters_loss")
    return pd.DataFrame(
        {
            "N": _QUARTET_SIZES[size],
            "D": iterations * _QUARTET_TOKENS,
            "forward": forward,
            "backward": backward,
            "iterations": iterations,
            "loss": loss,
        }
        for size, by_forward in nested.items()
        for forward, by_backward in by_forward.items()
        for backward, by_iterations in by_backward.items()
        for iterations, loss in by_iterations.items()
    )


def quartet2(files: Sequence[bytes]) -> pd.DataFrame:
    """Lists of runs by the family of their scheme, each run with all settings of its quantizers."""
    rows = [{"scheme": family} | run for family, runs in json.loads(files[0]).items() for run in runs]
    return pd.DataFrame(rows).rename(columns={"final_loss": "loss"})


def paretoq(files: Sequence[bytes]) -> pd.DataFrame:
    """The table of released models in a README: a link whose text ends in the bits, and WikiText perplexity last."""
    row = re.compile(r"\[MobileLLM-ParetoQ-([\d.]+[MB])-(BF16|[\d.]+)(?:-bit)?\]\([^)]*\)\s*\|(.*)\|\s*$", re.MULTILINE)
    found = [
        {
            "N": _PARETOQ_SIZES[size],
            "D": _PARETOQ_TOKENS,
            "weights": 16.0 if bits == "BF16" else float(bits),
            "ppl": float(cells.rpartition("|")[2]),
        }
        for size, bits, cells in row.findall(files[0].decode())
    ]
    if not found:
        raise ValueError("the text has no table of MobileLLM-ParetoQ models")
    return pd.DataFrame(found).assign(loss=lambda t: np.log(t["ppl"]))


def step_law(files: Sequence[bytes], splits: Sequence[str]) -> pd.DataFrame:
    """Two Parquet files, the authors' training and test split."""
    frames = [pd.read_parquet(io.BytesIO(f)).assign(split=s) for f, s in zip(files, splits, strict=True)]
    return pd.concat(frames, ignore_index=True)


def arrange_chinchilla(raw: pd.DataFrame) -> pd.DataFrame:
    """N, D, loss; holdout marks the five points of highest loss, which the usual fit leaves out."""
    highest = raw["loss"].rank(method="first", ascending=False) <= 5
    return raw[["N", "D", "loss"]].astype(float).assign(holdout=highest)


def arrange_plain(raw: pd.DataFrame) -> pd.DataFrame:
    """N, D, loss and nothing else."""
    found: Any = raw[["N", "D", "loss"]].astype(float)
    return found


def arrange_gemstones(raw: pd.DataFrame) -> pd.DataFrame:
    """One row for each evaluation of a run; `subsets` are the selections that have it."""
    keys = ["run_name", "N", "width", "depth", "D", "step", "loss"]
    joined: Any = raw.groupby(keys, sort=False)["subset"].agg(lambda s: " ".join(sorted(set(s))))
    found = joined.reset_index().rename(columns={"run_name": "run", "subset": "subsets"})
    return found.astype({"N": float, "D": float, "loss": float})


def arrange_quest(raw: pd.DataFrame) -> pd.DataFrame:
    """Bits of weights and activations (inf: 16-bit; FP4 rows are 4 bits), scheme as in the law's published form."""
    fp4 = raw["w_quant"].str.contains("FP4")
    bits = {c: raw[c].astype(float).mask(fp4, 4.0) for c in ("w_bits", "a_bits")}
    sparse = raw["w_quant"].str.contains("FourEight")

    def scheme(w: float, a: float, four_bit_float: bool, two_of_four: bool, rotated: bool, name: str) -> str:
        if name == "NoQuantizer":
            return "BF16"
        label = "FP4" if four_bit_float else f"W{w:g}" if a == 16 else f"W{w:g}A{a:g}"
        return label + (" 4:8" if two_of_four else "" if rotated else " unrotated")

    rotated = raw["w_quant"].str.contains("Hadamard")
    labels = [
        scheme(*v) for v in zip(bits["w_bits"], bits["a_bits"], fp4, sparse, rotated, raw["w_quant"], strict=True)
    ]
    return pd.DataFrame(
        {
            "N": raw["N"].astype(float),
            "D": raw["D"].astype(float),
            "loss": raw["loss"].astype(float),
            "weights": bits["w_bits"].replace(16.0, np.inf),
            "activations": bits["a_bits"].replace(16.0, np.inf),
            "scheme": labels,
            "weights_method": raw["w_quant"],
            "activations_method": raw["a_quant"],
            "learning_rate": raw["lr"].astype(float),
            "steps": raw["iterations"].astype(int),
            "seed": raw["seed"].astype(int),
        }
    )


def arrange_quartet(raw: pd.DataFrame) -> pd.DataFrame:
    """Quantizer of each pass; scheme is the forward one, its bits those of an MXFP4 element (inf: BF16)."""
    low = np.where(raw["forward"] == "BF16", np.inf, 4.0)
    return pd.DataFrame(
        {
            "N": raw["N"].astype(float),
            "D": raw["D"].astype(float),
            "loss": raw["loss"].astype(float),
            "weights": low,
            "activations": low,
            "scheme": raw["forward"],
            "backward": raw["backward"],
            "steps": raw["iterations"].astype(int),
        }
    )


def arrange_quartet2(raw: pd.DataFrame) -> pd.DataFrame:
    """Scheme is the family and those settings that differ within it; bits are those of the forward pass (inf: BF16)."""

    def said(value: Any) -> str:
        if value is None or value != value:  # null, or NaN
            return "none"
        return str(value) if isinstance(value, (str, bool, np.bool_)) else f"{float(value):g}"

    settings = [name for name in raw.columns if name not in _QUARTET2_PLAIN]
    texts: Any = raw[settings].astype(object).map(said)  # pandas has no stubs: the checker guesses wrongly
    names: Any = raw["scheme"].copy()
    for _, rows in texts.groupby(raw["scheme"]):
        for setting in settings:
            if rows[setting].nunique() > 1:
                names[rows.index] += f" {setting}=" + rows[setting]
    low = np.where(raw["scheme"].isin(sorted(_QUARTET2_FORWARD)), 4.0, np.inf)
    return pd.DataFrame(
        {
            "N": raw["N"].astype(float),
            "D": raw["D"].astype(float),
            "loss": raw["loss"].astype(float),
            "weights": low,
            "activations": low,
            "scheme": names,
            "family": raw["scheme"],
            "backward": texts["bbackward_scheme"],
        }
    )


def arrange_paretoq(raw: pd.DataFrame) -> pd.DataFrame:
    """N, D, loss as the logarithm of the printed perplexity, bits of the weights (inf: BF16)."""
    return pd.DataFrame(
        {
            "N": raw["N"].astype(float),
            "D": raw["D"].astype(float),
            "loss": np.log(raw["ppl"].astype(float)).round(9),
            "weights": raw["weights"].astype(float).replace(16.0, np.inf),
            "perplexity": raw["ppl"].astype(float),
        }
    )


def arrange_step_law(raw: pd.DataFrame) -> pd.DataFrame:
    """N, D, loss, learning rate, batch size in sequences; holdout is the authors' test split."""
    return pd.DataFrame(
        {
            "N": raw["non_embedding_param_size"].astype(float),
            "D": raw["data_size"].astype(float),
            "loss": raw["lm_loss"].astype(float),
            "learning_rate": raw["lr"].astype(float),
            "batch_sequences": raw["bsz"].astype(float),
            "holdout": raw["split"] == "test",
        }
    )
