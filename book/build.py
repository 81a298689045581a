"""Build the book: put MathJax and Vega into its assets, execute the pages that need it, render all of them.

``make book`` runs this file; it needs no network and no node. The scripts come out of Python
packages whose hashes are in ``requirements.lock``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.resources
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import execute

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
    from precsim.view.widget import script

    target.mkdir(parents=True, exist_ok=True)
    for style in sorted(source.glob("*.css")):  # a module without one is no widget, but what widgets share
        text = script(style.stem)
        if text.count("export ") != 1:
            raise ValueError(f"{style.stem}.js must have exactly one `export default`, and nothing else exported")
        body = text.replace("export default ", f"(window.precsim ??= {{}}).{style.stem} = ")
        (target / f"{style.stem}.js").write_text(f"(() => {{\n{body}}})();\n", encoding="utf-8")
    sheets = [*sorted(source.glob("*.css")), source.parent / "drawings" / "drawing.css"]
    styles = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    (target / "widgets.css").write_text(styles, encoding="utf-8")


def fingerprint(root: Path) -> str:
    """Return one hash of all that a page's result depends on besides its own cells: package, data and lock."""
    files = [root / "requirements.lock", *sorted((root / "precsim").rglob("*"))]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        if file.is_file() and file.suffix != ".pyc" and ".nb" not in file.suffix:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def drop_rendered(folder: Path, now: str) -> None:
    """Remove pages that were rendered with another package; what was executed has keys of its own and stays."""
    mark = folder / "fingerprint"
    if not mark.exists() or mark.read_text() != now:
        for name in (".doctrees", "html", "jupyter_execute"):
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        mark.write_text(now)


def build(root: Path, *, page: str | None = None, live: bool = False) -> tuple[tuple[execute.Failure, ...], int]:
    """Execute the pages of a project folder whose results are missing, and render the book with warnings as errors.

    Parameters
    ----------
    root : Path
        Has _config.yml and book/.
    page : str, optional
        Execute this page only; others show what they have.
    live : bool
        Train all networks of the lessons in place of a slice.

    Returns
    -------
    tuple of Failure, int
        Pages that stopped, and the exit status of the rendering; 1 where two pages print unequal numbers for one thing.

    Raises
    ------
    ValueError
        If there is no such page.
    """
    every = execute.pages(root)
    wanted = execute.chosen(every, page)
    assets, folder = root / "book" / "_assets", root / "_build"
    vendor(assets / "vendor")
    widgets(ROOT / "precsim" / "view" / "modules", assets / "vendor" / "widgets")
    made_from = fingerprint(ROOT)
    drop_rendered(folder, made_from)
    results = execute.Results(folder / ".jupyter_cache", f"{made_from}{' live' if live else ''}")
    todo = [one for one in wanted if not results.has(one)]
    empty = [one for one in every if one not in todo and results.fill(one)]
    for one in (*todo, *empty):  # before anything is executed: an interrupted build must not leave an old page behind
        (folder / ".doctrees" / f"{one.name}.doctree").unlink(missing_ok=True)
    print(f"pages with code: {len(every)}, to be executed: {len(todo)}", flush=True)
    seconds = execute.stored_seconds(root / "book" / "seconds.csv")
    failures = execute.execute(todo, results, seconds, environment={"PRECSIM_LIVE": str(int(live))}, say=_say)
    command = [Path(sys.executable).parent / "jupyter-book", "build", "book", "--config", "_config.yml"]
    rendered = subprocess.run([*command, "--path-output", ".", "-W", "-n", "--keep-going"], cwd=root)
    unequal = contradictions(every, results)
    for line in unequal:
        _say(line)
    return failures, rendered.returncode or int(bool(unequal))


def contradictions(pages: Sequence[execute.Page], results: execute.Results) -> list[str]:
    """Pages whose claims print unequal numbers for one quantity of the same rows, a line for each."""
    from precsim.evidence import claims

    made = ((page.name, left) for page in pages for left in results.left(page, claims.CLAIMS))
    return claims.disagreements([one for name, left in made for one in claims.printed(name, left)])


def note_seconds(root: Path) -> None:
    """Write how long each page took here as the table from which orders and estimates of other builds come."""
    results = execute.Results(root / "_build" / ".jupyter_cache", "")
    taken = {page.name: results.seconds(page) for page in execute.pages(root)}
    lines = [f"{name},{seconds:.0f}\n" for name, seconds in sorted(taken.items()) if seconds is not None]
    (root / "book" / "seconds.csv").write_text("".join(["page,seconds\n", *lines]), encoding="utf-8")


def _say(line: str) -> None:
    print(line, flush=True)


def write_api_page(path: Path) -> None:
    """Write the page of the public names, if it differs from the one that is there."""
    import api

    text = api.page()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Build this project's book; print the page to open, or last of all what failed and how to try it alone."""
    parser = argparse.ArgumentParser(prog="make book", description=main.__doc__)
    parser.add_argument("--page", help="execute this page only, as 3-training/populations")
    parser.add_argument("--live", action="store_true", help="train all networks of the lessons, not a slice of each")
    parser.add_argument("--note-seconds", action="store_true", help="keep the pages' times in book/seconds.csv")
    options = parser.parse_args(arguments)
    write_api_page(ROOT / "book" / "appendix" / "api.md")
    try:
        failures, status = build(ROOT, page=options.page, live=options.live)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("\nInterrupted: the pages that were executed are kept; make book goes on with the others.")
        return 130
    if options.note_seconds:
        note_seconds(ROOT)
    index = ROOT / "_build" / "html" / "index.html"
    if status:
        print(f"\nPages have warnings or contradict each other (status {status}); the lines above say where.")
    elif not failures:
        print(f"\nThe book is ready. Open {index.as_uri()}")
    for failure in failures:
        print(f"\n{failure.page}, cell {failure.cell} of {failure.cells}: {failure.reason}\n    {failure.command}")
    return 1 if failures else status


if __name__ == "__main__":
    sys.exit(main())
