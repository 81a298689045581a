"""The wheel without extras, in an empty environment: what README promises must work there. ``make plain`` runs this.

The versions are those of requirements.lock, so that a failure is ours and not of a release of last night. What no
base dependency brings (docutils, anywidget, Jupyter) is absent, as it is for somebody who only types `pip install`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GRID = """
language = {kind = "zipf-facts", vocabulary = 8}
model = {kind = "mlp", width = 4}
batch_tokens = 64
tokens = 640
seed = [0, 1]
recipe = {weights = "INT3"}
post = ["INT4"]
"""
ROWS = (
    "import precsim as ps; ps.slices.as_trained(ps.load_runs('precsim-2026'), only=()).to_csv('rows.csv', index=False)"
)
LOAD = "import precsim as ps; print(len(ps.load_runs('precsim-2026')), 'rows'); import precsim.view"
WIDGET = "import precsim as ps; print(ps.view.bit_flipper(ps.FP8_E4M3)._repr_mimebundle_()['text/plain'])"
EXTRAS = "anywidget docutils ipywidgets IPython sphinx dask"
ABSENT = f"from importlib.util import find_spec as f; print([n for n in '{EXTRAS}'.split() if f(n)] or 'no extras')"


def done(name: str, *command: str | Path, cwd: Path) -> str:
    """What a command prints; its name, seconds and last line are shown, and the run ends if it fails."""
    start = time.perf_counter()
    run = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    last = (run.stdout.strip() or run.stderr.strip() or "-").splitlines()[-1]
    sys.stdout.write(f"{name:28}{time.perf_counter() - start:6.1f} s  {last[:90]}\n")
    sys.stdout.flush()
    if run.returncode:
        sys.exit(f"{name} failed with status {run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout


def environment(folder: Path) -> Path:
    """Programs of a new environment in folder, with the wheel of this checkout and its base dependencies."""
    done("wheel", sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    wheel = next(folder.glob("precsim-*.whl"))
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = "\n".join(line.rstrip("\\ ") for line in lines if "==" in line)  # pip takes no hashes in constraints
    (folder / "constraints.txt").write_text(pins, encoding="utf-8")
    bare = folder / "environment"
    done("environment", sys.executable, "-m", "venv", "--without-pip", bare, cwd=folder)
    python = bare / "bin" / "python"
    by_pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-compile", "--disable-pip-version-check")
    by_uv = (sys.executable, "-m", "uv", "pip", "install", "--python", python)  # environments that uv made have no pip
    install = by_pip if find_spec("pip") else by_uv
    done("install", *install, "--quiet", "--quiet", "-c", "constraints.txt", wheel, cwd=folder)
    return bare / "bin"


def main() -> None:
    """Install, and run what a reader of README would run first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "grid.toml").write_text(GRID, encoding="utf-8")
        programs = environment(folder)
        python, precsim = programs / "python", programs / "precsim"
        if "no extras" not in done("what is absent", python, "-c", ABSENT, cwd=folder):
            sys.exit("the environment is not plain: a base dependency brings one of the extras")
        done("precsim --version", precsim, "--version", cwd=folder)
        done("precsim plan --html", precsim, "plan", "--compute", "1e21", "--html", "plan.html", cwd=folder)
        done("precsim sweep", precsim, "sweep", "grid.toml", "--store", "runs.db", "--quiet", cwd=folder)
        done("load_runs, view", python, "-c", LOAD, cwd=folder)
        done("a table", python, "-c", ROWS, cwd=folder)
        done("precsim fit", precsim, "fit", "rows.csv", "--law", "chinchilla", "--suspicious", cwd=folder)
        done("a widget", python, "-c", WIDGET, cwd=folder)
        if "vegaEmbed" not in (folder / "plan.html").read_text(encoding="utf-8"):
            sys.exit("the report has no chart")


if __name__ == "__main__":
    main()
