"""Where things are: the project, what the tests compare with, and public tables that may be beside the project."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests" / "reference"
BUILT = ROOT / "_build"
PUBLIC = ROOT.parent / "shared" / "data"
