"""The process inside the sandbox: runs the cells of a notebook, then answers calls over a pipe as plain data.

It knows no truth, no score and no other file of the class, so that nothing in it needs to be defended from the
student's code, which shares the process. Requests come as lines of JSON on the standard input, answers go to the
standard output:

==============================  ================================================================================
from the judge                  answers
==============================  ================================================================================
``{cells, skip, edition}``      ``{hello}``, for each cell ``{cell}`` and ``{cell, out, images, error}``, ``{ready}``
``{fork}``                      ``{forked}`` from a child, in which one exercise is called: what it breaks dies with it
``{id, name, args}``            ``{id, value}`` or ``{id, error}``
``{end}``                       the child ends, the parent says ``{left}``
==============================  ================================================================================

The file is run as a script and imports nothing of the package.
"""

from __future__ import annotations

import base64
import collections
import importlib
import io
import json
import os
import shutil
import sys
from typing import Any

from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

TEXT = 20_000  # characters kept of what a cell prints
PICTURE = 400_000  # bytes of a picture that is kept
PICTURES = 4  # kept of a cell


class Pipe:
    """Lines of JSON on two file descriptors that are taken away from the standard streams."""

    def __init__(self) -> None:
        self.requests, self.answers = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)

    def ask(self) -> dict[str, Any]:
        """Return the next request; end where there is none any more. One request is under way at a time."""
        parts = []
        while not (parts and parts[-1].endswith(b"\n")):
            part = os.read(self.requests, 1 << 16)
            if not part:
                os._exit(0)
            parts.append(part)
        return json.loads(b"".join(parts))

    def say(self, message: dict[str, Any]) -> None:
        """Send one answer, as a line."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.answers, data) :]


class Sink(io.TextIOBase):
    """A text stream that keeps its beginning."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.room = TEXT

    def writable(self) -> bool:
        """Whether it takes text: always."""
        return True

    def write(self, text: str, /) -> int:
        """Keep as much of the text as there is room for."""
        if self.room > 0:
            self.kept.append(text[: self.room])
            self.room -= len(text)
        return len(text)


def revived(value: Any) -> Any:
    """Return the value whose JSON with tags this is."""
    if isinstance(value, list):
        return [revived(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value["$"] == "row":
        row = collections.namedtuple(value["name"], value["fields"])
        return row(*(revived(item) for item in value["fields"].values()))
    if value["$"] == "array":
        return importlib.import_module("numpy").array(value["items"])
    items = [revived(item) for item in value["items"]]
    return tuple(items) if value["$"] == "tuple" else dict(items)


def plain(value: Any, depth: int = 0) -> Any:
    """Return an answer as numbers, words and lists; what is none of them becomes its type's name, a wrong answer."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth > 8:
        return "nested too deeply"
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) or hasattr(value, "__index__"):
        return int(value)
    if hasattr(value, "__float__"):  # fractions, decimals, numbers of SymPy
        return float(value)
    return f"a value of type {type(value).__name__}"


def shell_and_shown() -> tuple[Any, list[Any]]:
    """A shell in this process, as notebooks have it, and the list that gets what cells display."""
    shell: Any = InteractiveShell.instance(colors="NoColor", history_length=0)
    shell.history_manager.enabled = False
    publisher = CapturingDisplayPublisher()
    shell.display_pub = publisher
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=publisher.outputs)
    return shell, publisher.outputs


def run(shell: Any, shown: list[Any], source: str) -> dict[str, Any]:
    """Run one cell and return what it printed, drew and raised."""
    del shown[:]
    sink = Sink()
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = sink  # type: ignore[assignment]
    try:
        result = shell.run_cell(source, store_history=False)
        failure = result.error_before_exec or result.error_in_exec
    finally:
        sys.stdout, sys.stderr = before
    images = []
    for output in list(shown):
        data = output.get("data", {}) if isinstance(output, dict) else getattr(output, "data", {})
        picture, text = data.get("image/png"), data.get("text/plain")
        if picture is not None and len(images) < PICTURES and len(picture) <= PICTURE:
            images.append(picture if isinstance(picture, str) else base64.b64encode(picture).decode())
        elif text:
            sink.write(f"{text}\n")
    return {"out": "".join(sink.kept), "images": images, "error": type(failure).__name__ if failure else None}


def answer(names: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Call one function of the notebook with fresh inputs."""
    try:
        value = plain(names[request["name"]](*(revived(argument) for argument in request["args"])))
        json.dumps(value)
    except BaseException as failure:  # also SystemExit and KeyboardInterrupt of the student's code
        return {"id": request["id"], "error": type(failure).__name__}
    return {"id": request["id"], "value": value}


def serve(pipe: Pipe, names: dict[str, Any]) -> None:
    """Answer calls, each exercise in a child of its own."""
    while True:
        pipe.ask()
        child = os.fork()
        if child == 0:
            pipe.say({"forked": True})
            while "id" in (request := pipe.ask()):
                pipe.say(answer(names, request))
            os._exit(0)
        os.waitpid(child, 0)
        pipe.say({"left": True})


def main() -> None:
    """Run the notebook that the first request brings, then answer calls until the pipe ends."""
    pipe = Pipe()
    request = pipe.ask()
    if os.path.isdir("/guest/numba"):
        shutil.copytree("/guest/numba", os.environ["NUMBA_CACHE_DIR"], dirs_exist_ok=True)
    if request["edition"]:  # where no file can be mounted over another, the edition is found first
        importlib.import_module("precsim").__path__.insert(0, request["edition"])
    shell, shown = shell_and_shown()
    pipe.say({"hello": True})
    for number, source in enumerate(request["cells"]):
        if number not in request["skip"]:
            pipe.say({"cell": number})
            pipe.say({"cell": number, **run(shell, shown, source)})
    pipe.say({"ready": True})
    serve(pipe, shell.user_ns)


if __name__ == "__main__":
    main()
