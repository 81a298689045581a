"""Compiled loops on disk: used again while nothing changed, never after an edit to a file they are made from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import precsim as ps

SCRIPT = """
import numpy as np, precsim as ps
from precsim.numerics.kernels.loops import magic_even
print(float(ps.round_to(np.float32([1.9]), ps.FP8_E4M3)[0]), sum(magic_even.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_an_edit_to_an_imported_kernel_file_compiles_again(tmp_path):
    shutil.copytree(Path(ps.__file__).parent, tmp_path / "precsim", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert run() == ["1.875", "0"]
    assert run() == ["1.875", "1"]
    words = tmp_path / "precsim" / "numerics" / "kernels" / "magic_add.py"
    source = words.read_text()
    edited = source.replace("finish_nearest(u, a, bits_of((x + C) - C), c, short)", "finish_nearest(u, a, a, c, short)")
    assert edited != source
    words.write_text(edited)
    value, hits = run()
    assert (float(value) == pytest.approx(1.9), hits) == (True, "0")
