"""A build of the book: no clock, goes on after an interruption, one page or all, and a failure that stays alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import build
import execute
import pytest
from support.places import ROOT

HEAD = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
# Each page notes that it was executed, and by which process.
NOTE = "import os, pathlib, time\npathlib.Path({log!r}).open('a').write(f'{name} {{os.getpid()}}\\n')"


@pytest.fixture
def project(tmp_path):
    """A book of an opening page without code and pages of two cells; returns a function that writes one."""
    book = tmp_path / "book"
    book.mkdir()
    (book / "intro.md").write_text("# Opening\n")
    (book / "references.bib").write_text("")
    shutil.copytree(ROOT / "book" / "_assets" / "icons", book / "_assets" / "icons")
    (tmp_path / "_config.yml").write_text((ROOT / "_config.yml").read_text(encoding="utf-8"), encoding="utf-8")
    names: list[str] = []

    def write(name: str, *cells: str) -> Path:
        note = NOTE.format(log=str(tmp_path / "log"), name=name)
        code = "\n\n".join(f"```{{code-cell}} ipython3\n{cell}\n```" for cell in (note, *cells))
        (book / f"{name}.md").write_text(f"{HEAD}# Page {name}\n\n{code}\n")
        if name not in names:
            names.append(name)
        toc = "".join(f"  - file: {one}\n" for one in names)
        (book / "_toc.yml").write_text(f"format: jb-book\nroot: intro\nchapters:\n{toc}")
        return tmp_path

    return write


def executed(root: Path) -> list[str]:
    """Names of the pages that were executed, in this order; one that was executed twice stands twice."""
    log = root / "log"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def run(root: Path, key: str = "key", *, page: str | None = None, **options):
    """Execute what is missing, as a build does before Sphinx; the failures and the lines that were printed."""
    results = execute.Results(root / "_build" / ".jupyter_cache", key)
    todo = [one for one in execute.chosen(execute.pages(root), page) if not results.has(one)]
    lines: list[str] = []
    failures = execute.execute(todo, results, {"long": 100.0, "short": 1.0}, say=lines.append, **options)
    return failures, lines


def test_an_edited_page_is_the_only_one_that_is_executed_again(project):
    project("one", "x = 1")
    root = project("two", "x = 2")
    assert run(root)[0] == ()
    assert sorted(executed(root)) == ["one", "two"]
    run(root)
    assert len(executed(root)) == 2
    project("two", "x = 3")
    run(root)
    assert executed(root)[2:] == ["two"]
    run(root, "another package")
    assert sorted(executed(root)[3:]) == ["one", "two"]


def test_times_are_kept_for_the_order_and_the_estimates_of_other_builds(project):
    project("one", "time.sleep(1.2)")
    root = project("two", "x = 2")
    run(root, page="one")
    build.note_seconds(root)
    seconds = execute.stored_seconds(root / "book" / "seconds.csv")
    assert list(seconds) == ["one"]
    assert seconds["one"] >= 1
    assert execute.stored_seconds(root / "nowhere.csv") == {}


def test_text_may_change_without_executing_anything(project):
    root = project("one", "x = 1")
    run(root)
    page = root / "book" / "one.md"
    page.write_text(page.read_text() + "\nMore to say.\n")
    run(root)
    assert executed(root) == ["one"]


def test_one_page_is_executed_alone_and_an_unknown_one_is_refused(project):
    project("one", "x = 1")
    root = project("two", "x = 2")
    run(root, page="book/two.md")
    assert executed(root) == ["two"]
    with pytest.raises(ValueError, match="no page 'three' with code; the pages are one, two"):
        run(root, page="three")


def test_a_slow_kernel_is_waited_for_and_every_cell_has_a_line(project, tmp_path):
    root = project("one", "x = 1", "x += 1")
    slow = tmp_path / "ipython" / "profile_default"
    slow.mkdir(parents=True)
    hook = "import time; get_ipython().events.register('pre_run_cell', lambda info: time.sleep(1.2))"
    (slow / "ipython_kernel_config.py").write_text(f"c.InteractiveShellApp.exec_lines = [{hook!r}]\n")
    failures, lines = run(root, environment={"IPYTHONDIR": str(tmp_path / "ipython")})
    assert failures == ()
    assert [line.split("  ")[:2] for line in lines] == [["one", f"cell {n} of 3"] for n in (1, 2, 3)]
    assert all(line.split("  ")[2] != "0 s" for line in lines)


def test_nothing_in_the_settings_limits_a_cell():
    assert "timeout: -1" in (ROOT / "_config.yml").read_text(encoding="utf-8")


def test_the_longest_page_comes_first_and_the_estimate_follows_this_machine(project):
    project("short", "x = 1")
    root = project("long", "x = 2")
    lines: list[str] = []
    progress = execute.Progress(execute.pages(root), {"long": 600.0, "short": 60.0}, lines.append)
    assert progress.order == ["long", "short"]
    short, long = (next(page for page in execute.pages(root) if page.name == name) for name in ("short", "long"))
    progress.begin(short)
    assert progress.line(short, 1, 0.4) is None
    assert lines[-1] == "short  cell 1 of 2  0 s  (page 2 of 2, about 10 min left)"  # two at a time, the long one alone
    progress.end(short)  # at once: this machine is far quicker than the one of the table
    progress.begin(long)
    progress.line(long, 2, 3.0)
    assert lines[-1] == "long  cell 2 of 2  3 s  (page 1 of 2, less than a minute left)"


def test_a_page_that_fails_leaves_the_others_and_is_tried_again(project):
    project("bad", "print('so far')\nraise KeyError('no such `thing`')", "x = 1")
    root = project("good", "x = 2")
    (failure,), lines = run(root)
    assert (failure.page, failure.cell, failure.cells) == ("bad", 2, 3)
    assert failure.reason == "KeyError: 'no such `thing`'"
    assert failure.command == "make book PAGE=bad"
    assert any("Traceback" in line or "KeyError" in line for line in lines)
    run(root)
    assert sorted(executed(root)) == ["bad", "bad", "good"]


def test_a_kernel_that_dies_is_a_failure_of_its_page(project):
    project("bad", "os._exit(1)")
    root = project("good", "x = 2")
    (failure,), _ = run(root)
    assert (failure.page, failure.cell) == ("bad", 2)
    assert "DeadKernelError" in failure.reason
    assert "good" in executed(root)


@pytest.fixture
def interrupted(project):
    """Three pages, of which two wait for a file; returns a function that interrupts their build this many times."""
    waiting = "while not pathlib.Path('go').exists(): time.sleep(0.05)"
    project("first", "x = 1")
    project("second", waiting)
    project("third", waiting)
    root = project("fourth", "x = 4")
    code = (
        "import pathlib, signal, execute\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        f"root = pathlib.Path({str(root)!r})\n"
        "results = execute.Results(root / '_build' / '.jupyter_cache', 'key')\n"
        "seconds = {'first': 4.0, 'second': 3.0, 'third': 2.0, 'fourth': 1.0}\n"
        "execute.execute(execute.pages(root), results, seconds, say=lambda line: print(line, flush=True))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "book"), str(ROOT)])}

    def interrupt(times: int) -> Path:
        with subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                lines = iter(process.stdout.readline, "")
                seen = [line.split("  ")[:2] for _, line in zip(range(4), lines, strict=False)]
                assert ["first", "cell 2 of 2"] in seen  # two lines of the first, one of each that waits
                process.send_signal(signal.SIGINT)
                assert any("Interrupted: second and third will end first" in line for line in lines)
                if times == 2:
                    process.send_signal(signal.SIGINT)
                else:
                    (root / "book" / "go").touch()
                process.communicate(timeout=600)
            finally:
                process.kill()
        assert process.returncode != 0
        # Two kernels start at once, and either may be the quicker.
        assert sorted(executed(root)) == ["first", "second", "third"]
        kernels = [int(line.split()[1]) for line in (root / "log").read_text().splitlines()]
        assert all(_ended(number) for number in kernels)
        (root / "book" / "go").touch()
        assert run(root)[0] == ()
        return root

    return interrupt


def test_an_interrupted_build_loses_nothing_and_begins_nothing(interrupted):
    root = interrupted(1)
    assert executed(root)[3:] == ["fourth"]


def test_a_build_that_is_interrupted_twice_stops_its_kernels_and_goes_on_where_it_was(interrupted):
    root = interrupted(2)
    assert sorted(executed(root)[3:]) == ["fourth", "second", "third"]


def _ended(number: int) -> bool:
    while Path(f"/proc/{number}").exists():
        time.sleep(0.05)
    return True


@pytest.mark.slow
def test_the_book_has_a_notice_where_a_page_stopped_or_was_not_executed(project):
    project("bad", "print('so far')\nraise ValueError('no such thing')", "print('never')")
    root = project("good", "print(6 * 7)")
    failures, status = build.build(root, page="bad")
    assert ([f.page for f in failures], status) == (["bad"], 0)
    html = {name: (root / "_build" / "html" / f"{name}.html").read_text() for name in ("bad", "good")}
    assert "so far" in html["bad"]
    assert "could not be executed beyond this cell" in html["bad"]
    assert "Traceback" not in html["bad"]
    assert "This page was not executed in this build" in html["good"]
    project("bad", "print('now it works')")
    assert build.build(root) == ((), 0)
    html = {name: (root / "_build" / "html" / f"{name}.html").read_text() for name in ("bad", "good")}
    assert "now it works" in html["bad"]
    assert "42" in html["good"]
    assert "not executed" not in html["good"]
    assert executed(root) == ["bad", "bad", "good"] or sorted(executed(root)[1:]) == ["bad", "good"]
