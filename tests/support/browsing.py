"""A built book served from this machine, and a Chromium that can reach nothing else."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# What the pages may do: their own scripts and styles, written in them or beside them; no eval, no other host.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free local port under the policy; yields its address."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Log:
    """What a page did that it should not have done."""

    origin: str
    outside: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def watch(self, page) -> None:
        """Record and stop every request to another host; record console messages, exceptions and missing files."""

        def route(route) -> None:
            url = route.request.url
            if url.startswith((self.origin, "data:")):
                route.continue_()
            else:
                self.outside.append(url)
                route.abort()

        page.route("**/*", route)
        page.on(
            "console", lambda m: self.messages.append(f"{m.type}: {m.text}") if m.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda e: self.messages.append(f"exception: {e}"))
        page.on("response", lambda r: self.missing.append(r.url) if r.status >= 400 else None)


@contextmanager
def browser() -> Iterator:
    """Yield a headless Chromium, the one installed on this machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        try:
            yield chromium
        finally:
            chromium.close()


def settle(page) -> None:
    """Scroll through the page and wait until every chart, widget and formula in it is drawn."""
    page.evaluate(
        "async () => { for (const figure of document.querySelectorAll('.ps-chart')) {"
        " figure.scrollIntoView({ behavior: 'instant' }); await new Promise((next) => setTimeout(next, 60)); }"
        " scrollTo({ top: 0, behavior: 'instant' }); }"
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('.ps-chart, .ps-widget')].every((e) => e.dataset.drawn)",
        timeout=180_000,
    )
    page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
