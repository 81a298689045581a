"""Every float32 through an NVIDIA GPU's own conversion instructions, compared with precsim bit for bit.

Run on a machine with a GPU of compute capability >= 8.9, CuPy and numba::

    python -m tests.hardware.convert_all OUT.csv

For each of the four formats that Hopper converts to in hardware, and each of the 256 chunks of 2**24
consecutive float32 bit patterns, the GPU's codes are compared with ``precsim.encode`` and the SHA-256
of the GPU's codes is written, so that any machine can later check a chunk without the GPU.

PTX instructions: ``cvt.rn.satfinite.e4m3x2.f32``, ``cvt.rn.satfinite.e5m2x2.f32`` (both saturate: overflow and
infinities become the largest finite value), ``cvt.rn.bf16.f32`` and ``cvt.rn.f16.f32`` (overflow becomes infinity).
NaN inputs give the one code that ``NAN_CODE`` names.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import precsim as ps

CHUNK = 1 << 24
CHUNKS = 1 << 8

#: name of the kernel -> format, whether overflow saturates, code of every NaN
CONVERSIONS = {
    "e4m3": (ps.FP8_E4M3, True, 0x7F),
    "e5m2": (ps.FP8_E5M2, True, 0x7F),
    "bf16": (ps.BF16, False, 0x7FFF),
    "fp16": (ps.FP16, False, 0x7FFF),
}

SOURCE = r"""
extern "C" __global__ void e4m3(unsigned start, unsigned char* out) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned short pair;
    float x = __uint_as_float(start + i);
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    out[i] = (unsigned char)(pair & 0xff);
}
extern "C" __global__ void e5m2(unsigned start, unsigned char* out) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned short pair;
    float x = __uint_as_float(start + i);
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    out[i] = (unsigned char)(pair & 0xff);
}
extern "C" __global__ void bf16(unsigned start, unsigned short* out) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    float x = __uint_as_float(start + i);
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out[i]) : "f"(x));
}
extern "C" __global__ void fp16(unsigned start, unsigned short* out) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    float x = __uint_as_float(start + i);
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out[i]) : "f"(x));
}
"""


def expected_codes(name: str, chunk: int) -> np.ndarray:
    """Codes that precsim gives for one chunk of float32 bit patterns, shape (2**24,), NaN as the hardware writes it."""
    fmt, saturate, nan_code = CONVERSIONS[name]
    x = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK, dtype=np.uint64).astype(np.uint32).view(np.float32)
    codes = ps.encode(x, fmt, saturate=saturate)
    return np.where(np.isnan(x), codes.dtype.type(nan_code), codes)


def digest(codes: np.ndarray) -> str:
    """SHA-256 of the codes as little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(codes.astype(codes.dtype.newbyteorder("<"))).data).hexdigest()


def main(path: str) -> None:
    """Convert, compare and write one row for each format and chunk."""
    import cupy as cp

    device = cp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    driver = cp.cuda.runtime.driverGetVersion()
    runtime = cp.cuda.runtime.runtimeGetVersion()
    module = cp.RawModule(code=SOURCE, backend="nvcc", options=("-arch=sm_90",))
    wrong = dict.fromkeys(CONVERSIONS, 0)
    began = time.perf_counter()
    with open(path, "w", newline="") as file, ThreadPoolExecutor(12) as pool:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["format", "chunk", "sha256"])
        for name, (fmt, _, _) in CONVERSIONS.items():
            kernel = module.get_function(name)
            kind = np.uint8 if fmt.bits <= 8 else np.uint16

            def compare(chunk: int, kernel=kernel, kind=kind, name=name) -> tuple[int, str, int]:
                with cp.cuda.Stream(non_blocking=True) as stream:
                    out = cp.empty(CHUNK, kind)
                    kernel((CHUNK // 256,), (256,), (np.uint32(chunk * CHUNK), out))
                    codes = cp.asnumpy(out, stream=stream)
                return chunk, digest(codes), int(np.count_nonzero(codes != expected_codes(name, chunk)))

            for chunk, sha, differences in pool.map(compare, range(CHUNKS)):
                wrong[name] += differences
                table.writerow([name, chunk, sha])
            sys.stdout.write(f"{name}: {wrong[name]} differences in 2**32, {time.perf_counter() - began:.0f} s\n")
    sys.stdout.write(f"{device}, CUDA driver {driver}, runtime {runtime}, {datetime.date.today()}\n")


if __name__ == "__main__":
    main(sys.argv[1])
