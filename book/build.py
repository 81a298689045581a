"""Build the book: put MathJax and Vega into its assets, drop stale results, execute and render every page.

``make book`` runs this file; it needs no network and no node. The scripts come out of Python
packages whose hashes are in ``requirements.lock``.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")


def vendor(target: Path) -> None:
    """Write vega.js and mathjax/ into target, unless these versions are there already."""
    import vl_convert

    versions = (
        f"vl-convert-python {version('vl-convert-python')}, django-static-mathjax {version('django-static-mathjax')}\n"
    )
    mark = target / "VERSIONS"
    if mark.exists() and mark.read_text() == versions:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    # In a function: the bundle's top-level names must not meet those of the theme's scripts.
    (target / "vega.js").write_text(f"(() => {{{vl_convert.javascript_bundle()}}})();\n", encoding="utf-8")
    source = importlib.resources.files("mathjax") / "static/mathjax"
    with importlib.resources.as_file(source) as folder:
        for name in MATHJAX:
            new = target / "mathjax" / name
            new.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (folder / "es5" / name).is_dir() else shutil.copy)(folder / "es5" / name, new)
        shutil.copy(folder / "LICENSE", target / "mathjax" / "LICENSE")
    mark.write_text(versions)


def widgets(source: Path, target: Path) -> None:
    """Write each widget's module as a classic script that sets window.precsim.NAME, for pages opened from a folder."""
    target.mkdir(parents=True, exist_ok=True)
    for module in sorted(source.glob("*.js")):
        text = module.read_text(encoding="utf-8")
        if text.count("export default ") != 1:
            raise ValueError(f"{module} must have exactly one `export default`, and nothing else exported")
        body = text.replace("export default ", f"(window.precsim ??= {{}}).{module.stem} = ")
        (target / module.name).write_text(f"(() => {{\n{body}}})();\n", encoding="utf-8")
    styles = "".join(style.read_text(encoding="utf-8") for style in sorted(source.glob("*.css")))
    (target / "widgets.css").write_text(styles, encoding="utf-8")


def fingerprint(root: Path) -> str:
    """Return one hash of all that a page's result depends on besides its own cells: package, data and lock."""
    files = [root / "requirements.lock", *sorted((root / "precsim").rglob("*"))]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        if file.is_file() and file.suffix != ".pyc" and ".nb" not in file.suffix:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def drop_stale(build: Path, now: str) -> bool:
    """Remove stored results and pages made with another package; return whether there were any."""
    mark = build / "fingerprint"
    stale = build.exists() and (not mark.exists() or mark.read_text() != now)
    if stale:
        for name in (".jupyter_cache", ".doctrees", "html", "jupyter_execute"):
            shutil.rmtree(build / name, ignore_errors=True)
    build.mkdir(exist_ok=True)
    mark.write_text(now)
    return stale


def build(root: Path) -> Path:
    """Build the book of a project folder, with warnings as errors; return its first page.

    Raises
    ------
    subprocess.CalledProcessError
        The build failed; what it wrote says where.
    """
    assets = root / "book" / "_assets"
    vendor(assets / "vendor")
    widgets(ROOT / "precsim" / "view" / "modules", assets / "vendor" / "widgets")
    if drop_stale(root / "_build", fingerprint(ROOT)):
        print("the package, its data or the lock has changed: every page is executed again")
    command = [Path(sys.executable).parent / "jupyter-book", "build", "book", "--config", "_config.yml"]
    subprocess.run([*command, "--path-output", ".", "-W", "-n", "--keep-going"], cwd=root, check=True)
    return root / "_build" / "html" / "index.html"


def write_api_page(path: Path) -> None:
    """Write the page of the public names, if it differs from the one that is there."""
    import api

    text = api.page()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Build this project's book and print the page to open."""
    write_api_page(ROOT / "book" / "appendix" / "api.md")
    try:
        page = build(ROOT)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"\nThe book is ready. Open {page.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
