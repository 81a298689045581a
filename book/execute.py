"""Execute the pages of the book ahead of Sphinx: two at a time, longest first, a line for each cell.

Results go into the cache in which Sphinx looks them up, page by page, each with the key of what it was made from. So an
interrupted build goes on where it was (it ends its running pages first: none is lost), and an edited page is the only
one that is executed again. Nothing here depends on a clock: no cell has a limit, and times are only printed.
"""

from __future__ import annotations

import asyncio
import atexit
import csv
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode, v4
from sphinx_external_toc.parsing import parse_toc_yaml
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

AT_ONCE = 2
_NEVER = 10**9  # seconds; nbclient has no word for "wait as long as it takes" when a kernel starts


@dataclass(frozen=True)
class Page:
    """A page with code: its name in the table of contents, its file, and its cells without results."""

    name: str
    path: Path
    notebook: NotebookNode

    @property
    def cells(self) -> list[NotebookNode]:
        """The cells of code."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]


@dataclass(frozen=True)
class Failure:
    """Where a page stopped, and of what; `log` is the traceback."""

    page: str
    cell: int
    cells: int
    reason: str
    log: str

    @property
    def command(self) -> str:
        """What builds this page alone."""
        return f"make book PAGE={self.page}"


def pages(root: Path) -> tuple[Page, ...]:
    """Read the pages of a project's table of contents that have code."""
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    markdown = MdParserConfig(enable_extensions=set(settings.get("parse", {}).get("myst_enable_extensions", ())))
    found = []
    for name in parse_toc_yaml(root / "book" / "_toc.yml"):
        path = root / "book" / f"{name}.md"
        text = path.read_text(encoding="utf-8")
        if reader := create_nb_reader(str(path), markdown, NbParserConfig(), text):
            page = Page(name, path, reader.read(text))
            found += [page] if page.cells else []
    return tuple(found)


def chosen(among: Sequence[Page], name: str | None) -> tuple[Page, ...]:
    """Return the page of this name, or all.

    Raises
    ------
    ValueError
        If no page with code has this name.
    """
    if name is None:
        return tuple(among)
    if not (found := tuple(page for page in among if page.name == name.removeprefix("book/").removesuffix(".md"))):
        raise ValueError(f"there is no page {name!r} with code; the pages are {', '.join(p.name for p in among)}")
    return found


class Results:
    """The results that Sphinx will look up by the code of a page; each notes the key of what else it was made from."""

    def __init__(self, folder: Path, key: str) -> None:
        self._cache, self._key = get_cache(folder), key
        # Its pool keeps connections that nobody closes, of which Python 3.13 warns: one for each question, and closed.
        pooled = self._cache.db
        self._cache._db = create_engine(pooled.url, poolclass=NullPool)
        pooled.dispose()

    def _note(self, page: Page) -> dict | None:
        try:
            return self._cache.match_cache_notebook(page.notebook).data
        except KeyError:
            return None

    def has(self, page: Page) -> bool:
        """Whether the page was executed to its end with this code, package, data and lock."""
        return (self._note(page) or {}).get("key") == self._key

    def seconds(self, page: Page) -> float | None:
        """How long the page took here, if it was executed."""
        return (self._note(page) or {}).get("execution_seconds")

    def keep(self, page: Page, notebook: NotebookNode, seconds: float) -> None:
        """Keep the result of a page, in place of older ones."""
        self._put(page, notebook, {"key": self._key, "execution_seconds": seconds})

    def keep_notice(self, page: Page, notebook: NotebookNode, cell: int, text: str) -> None:
        """Show what a page has up to a cell and there a notice; the page stays to be executed."""
        shown = v4.new_output("display_data", {"text/markdown": text, "text/plain": text})
        code = [one for one in notebook.cells if one.cell_type == "code"]
        code[cell].outputs = [one for one in code[cell].outputs if one.output_type != "error"] + [shown]
        self._put(page, notebook, {"key": None})

    def left(self, page: Page, mime_type: str) -> list:
        """What the cells of a page left in a type of output, in order; nothing of a page that was never executed."""
        try:
            record = self._cache.match_cache_notebook(page.notebook)
        except KeyError:
            return []
        cells = self._cache.get_cache_bundle(record.pk).nb.cells
        outputs = (output.get("data", {}) for cell in cells for output in cell.get("outputs", ()))
        return [data[mime_type] for data in outputs if mime_type in data]

    def fill(self, page: Page) -> bool:
        """Let a page that was never executed say so; return whether it had no result."""
        if self._note(page) is not None:
            return False
        self.keep_notice(page, page.notebook, 0, "*This page was not executed in this build:* `make book` does it.")
        return True

    def _put(self, page: Page, notebook: NotebookNode, data: dict) -> None:
        # Unchecked: a page that stopped has cells that were not counted.
        bundle = CacheBundleIn(notebook, str(page.path), data=data)
        new = self._cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        for record in self._cache.list_cache_records():
            if record.uri == new.uri and record.pk != new.pk:
                self._cache.remove_cache(record.pk)


def stored_seconds(path: Path) -> dict[str, float]:
    """Read how long each page took on the machine that the estimates come from; empty without the file."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["page"]: float(row["seconds"]) for row in csv.DictReader(file)}


class Progress:
    """Prints a line for each cell, with the time that the other pages will take at this machine's speed so far."""

    def __init__(self, todo: Iterable[Page], seconds: Mapping[str, float], say: Callable[[str], None]) -> None:
        known = sorted(seconds.values()) or [20.0]
        self._expected = {page.name: seconds.get(page.name, known[len(known) // 2]) for page in todo}
        self._taken: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._say = say

    @property
    def order(self) -> list[str]:
        """Names of the pages, longest first: a long page at the end would leave a core idle."""
        return sorted(self._expected, key=lambda name: -self._expected[name])

    def begin(self, page: Page) -> None:
        """Note that a page starts."""
        self._began[page.name] = time.perf_counter()

    def end(self, page: Page) -> float:
        """Note that a page is over; return its seconds."""
        self._taken[page.name] = time.perf_counter() - self._began[page.name]
        return self._taken[page.name]

    @property
    def running(self) -> str:
        """Names of the pages that have begun and not ended."""
        return " and ".join(name for name in self._began if name not in self._taken) or "nothing"

    def line(self, page: Page, cell: int, seconds: float) -> None:
        """Print that a cell, counted from 1, has ended."""
        place = f"page {1 + self.order.index(page.name)} of {len(self._expected)}, {self._left()} left"
        self._say(f"{page.name}  cell {cell} of {len(page.cells)}  {seconds:.0f} s  ({place})")

    def _left(self) -> str:
        """Expected seconds of what is not over, times this machine's ratio, on `AT_ONCE` cores."""
        now = time.perf_counter()
        running = {name: now - began for name, began in self._began.items() if name not in self._taken}
        known = {**self._taken, **{name: long for name, long in running.items() if long > self._expected[name]}}
        ratio = sum(known.values()) / sum(self._expected[name] for name in known) if known else 1.0
        rest = {name: ratio * value - running.get(name, 0.0) for name, value in self._expected.items()}
        rest = [max(0.0, value) for name, value in rest.items() if name not in self._taken]
        minutes = max(sum(rest) / AT_ONCE, max(rest)) / 60
        return f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute"


def execute(
    todo: Sequence[Page],
    results: Results,
    seconds: Mapping[str, float],
    *,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Failure, ...]:
    """Execute pages and keep each result as it ends; return those that failed, which leave the others alone.

    Parameters
    ----------
    todo : sequence of Page
    results : Results
    seconds : mapping of str to float
        What each page took elsewhere: it gives the order and the estimate, nothing else.
    environment : mapping of str to str, optional
        Variables that the kernels get besides those of this process.
    say : callable
        Gets the lines to print.

    Raises
    ------
    KeyboardInterrupt
        At the first one the pages that are being executed end and are kept, and no other begins; a second one stops
        their kernels.
    """
    progress = Progress(todo, seconds, say)
    by_name = {page.name: page for page in todo}
    gate = asyncio.Semaphore(AT_ONCE)
    interrupted = threading.Event()
    variables = {**os.environ, **(environment or {})}

    async def one(page: Page) -> Failure | None:
        async with gate:
            if interrupted.is_set():
                return None
            progress.begin(page)
            return await _execute(page, results, progress, variables, say)

    async def every() -> list[Failure | None]:
        loop.append(asyncio.get_running_loop())
        task.append(asyncio.ensure_future(asyncio.gather(*(one(by_name[name]) for name in progress.order))))
        return await task[0]

    # In a thread: in the main one nbclient would put its own handler in the place of Ctrl-C.
    loop: list[asyncio.AbstractEventLoop] = []
    task: list[asyncio.Future] = []
    with ThreadPoolExecutor(1) as thread:
        ending = thread.submit(asyncio.run, every())
        try:
            return tuple(filter(None, ending.result()))
        except KeyboardInterrupt:
            try:  # the second one may come while the first is still being told of
                interrupted.set()
                say(f"\nInterrupted: {progress.running} will end first. Once more to stop at once and lose that.")
                ending.result()
            except KeyboardInterrupt:
                if task:
                    loop[0].call_soon_threadsafe(task[0].cancel)
            raise


async def _execute(
    page: Page, results: Results, progress: Progress, variables: Mapping[str, str], say: Callable[[str], None]
) -> Failure | None:
    notebook = v4.new_notebook(metadata=page.notebook.metadata, cells=[NotebookNode(c) for c in page.notebook.cells])
    place = {n: k for k, n in enumerate((n for n, c in enumerate(notebook.cells) if c.cell_type == "code"), start=1)}
    began = {}

    def start(cell: NotebookNode, cell_index: int) -> None:
        if cell_index in place:  # text is passed through here too
            began[place[cell_index]] = time.perf_counter()

    def end(cell: NotebookNode, cell_index: int, execute_reply: object) -> None:
        number = place[cell_index]
        progress.line(page, number, time.perf_counter() - began[number])

    client = NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=_NEVER,
        record_timing=False,  # times would change the hash by which Sphinx finds the result
        resources={"metadata": {"path": str(page.path.parent)}},
        on_cell_start=start,
        on_cell_executed=end,
        extra_arguments=["--log-level=ERROR"],  # each kernel would warn that its sockets are not encrypted
    )
    try:
        await client.async_execute(env=dict(variables))
    except (CellExecutionError, DeadKernelError) as error:
        progress.end(page)
        name = getattr(error, "ename", type(error).__name__)
        said = str(getattr(error, "evalue", error)).strip().splitlines() or [""]
        cell = max(began, default=1)
        failure = Failure(page.name, cell, len(page.cells), f"{name}: {said[0]}".removesuffix(": "), str(error))
        say(f"{page.name}  cell {cell} of {failure.cells} failed\n{failure.log}")
        reason = failure.reason.replace("`", "'")
        text = f"*This page could not be executed beyond this cell:* `{reason}`. Try it alone: `{failure.command}`."
        results.keep_notice(page, notebook, cell - 1, text)
        return failure
    finally:
        atexit.unregister(client._cleanup_kernel)  # after an interruption it would complain of a kernel that is gone
    results.keep(page, notebook, progress.end(page))
    return None
