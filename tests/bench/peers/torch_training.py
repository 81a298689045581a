"""The package's transformer in PyTorch, eager, one model after the other; NumPy and PyTorch are all it needs.

``python -m tests.bench.peers.torch_training PROBLEM.npz [cuda]`` reads weights, batches, learning rates and bits and
prints JSON: the losses of the first steps of each model, and model-tokens per second and per second of one core over
the rest for each number of threads. On a GPU products are in TF32 and one thread starts its kernels.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

HEAD_WIDTH = 16
FREQUENCY_BASE = 10_000.0
WARM_UP = 3  # steps whose losses are compared, and whose time is not counted


def rms_norm(x: Tensor) -> Tensor:
    """X over its root mean square."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def rotations(time: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles, (time, half)."""
    half = HEAD_WIDTH // 2
    angle = torch.arange(time)[:, None] * FREQUENCY_BASE ** (-torch.arange(half) / half)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding of (batch, heads, time, width)."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = turns
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def fake_quantize(w: Tensor, bits: float) -> Tensor:
    """Symmetric integers of one scale for each column; the derivative passes through."""
    if bits >= 16:
        return w
    with torch.no_grad():
        step = w.abs().amax(0, keepdim=True) / (2 ** (bits - 1) - 1)
        change = step * torch.round(w / step) - w
    return w + change


def logits(params: dict[str, Tensor], tokens: Tensor, bits: float, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Unnormalized log-probabilities of the token after each position."""
    h = F.embedding(tokens, params["embedding"])
    batch, time, width = h.shape
    for n in range(sum(name.endswith("qkv") for name in params)):
        parts = rms_norm(h) @ fake_quantize(params[f"{n}.qkv"], bits)
        query, key, value = (
            part.reshape(batch, time, -1, HEAD_WIDTH).transpose(1, 2) for part in parts.split(width, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(rotate(query, turns), rotate(key, turns), value, is_causal=True)
        h = h + mixed.transpose(1, 2).reshape(batch, time, width) @ fake_quantize(params[f"{n}.out"], bits)
        inner = F.gelu(rms_norm(h) @ fake_quantize(params[f"{n}.up"], bits), approximate="tanh")
        h = h + inner @ fake_quantize(params[f"{n}.down"], bits)
    return rms_norm(h) @ params["head"]


def train(weights: dict[str, Any], batches: Tensor, rates: np.ndarray, bits: float) -> tuple[list[float], float, float]:
    """Losses of the first steps, and the seconds and the seconds of processors that the others took."""
    params = {name: torch.tensor(w, requires_grad=True) for name, w in weights.items()}
    optimizer = torch.optim.AdamW(params.values(), betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    losses, began, busy, turns = [], 0.0, 0.0, rotations(batches.shape[-1] - 1)
    for n, batch in enumerate(batches):
        if n == WARM_UP:
            finish()
            began, busy = time.perf_counter(), time.process_time()
        out = logits(params, batch[:, :-1], bits, turns)
        loss = F.cross_entropy(out.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        optimizer.param_groups[0]["lr"] = float(rates[n])
        optimizer.step()
        if n < WARM_UP:
            losses.append(float(loss))
    finish()
    return losses, time.perf_counter() - began, time.process_time() - busy


def finish() -> None:
    """Wait until a GPU, if it is used, has done all that it was given."""
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()


def main(path: str, device: str = "cpu") -> None:
    """Solve the problem and print what happened."""
    torch.set_default_device(device)
    torch.backends.cuda.matmul.allow_tf32 = True
    given = np.load(path)
    weights = {name.removeprefix("w:"): given[name] for name in given.files if name.startswith("w:")}
    batches = torch.from_numpy(given["batches"].astype(np.int64)).to(device)  # (models, steps, sequences, window + 1)
    counted = batches[0, WARM_UP:, :, 1:].numel()
    losses, speeds, by_core = [], {}, {}
    for threads in (1, torch.get_num_threads()) if device == "cpu" else (1,):
        torch.set_num_threads(threads)
        seconds, cores = [], []
        for batch, bits in zip(batches, given["bits"], strict=True):
            found, spent, busy = train(weights, batch, given["rates"], float(bits))
            losses += [found] if threads == 1 else []
            seconds.append(spent)
            cores.append(busy)
            if speeds and seconds[0] > 2 * counted / speeds[1]:  # others use the cores: waiting for them takes minutes
                break
        speeds[threads] = counted * len(seconds) / sum(seconds)
        by_core[threads] = counted * len(seconds) / sum(cores)
    found = {"torch": torch.__version__, "losses": losses, "tokens_per_second": speeds, "by_core": by_core}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
