"""Make the folder that is published from the built book: its pages, a sitemap, and a page for lost visitors.

``make site URL=https://example.org/precsim`` writes it to ``dist/site``. Every link of the pages is relative, so that
the folder works from any address; the address itself stands in the sitemap, in each page's canonical link and in
``404.html`` alone, which a server shows under addresses of any depth.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
MADE = ".made-by-precsim"  # in a folder that may be made again
_LINK = re.compile(r'<(?:a|link|script|img|source)\b[^>]*?\s(?:href|src)="([^"]*)"')

LOST = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>No such page — precsim</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 18vh auto 0; padding: 0 1.5rem }}
</style>
</head>
<body>
<h1>No such page</h1>
<p>The address may have changed, or never been. The book begins <a href="{url}intro.html">here</a>;
<a href="{url}search.html">search</a> finds what it says.</p>
</body>
</html>
"""


def publish(built: Path, folder: Path, url: str) -> int:
    """Write the folder to publish; how many pages it has.

    Raises
    ------
    ValueError
        The address is none, the book is not built, a link of a page leads nowhere or from the root of a server, or
        the folder holds what this has not made. Nothing is changed then.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"URL is where the site will be, such as https://example.org/precsim, not {url!r}")
    url = url.rstrip("/") + "/"
    if not (built / "intro.html").exists():
        raise ValueError(f"there is no book in {built}: make book")
    if folder.exists() and not (folder / MADE).exists():
        raise ValueError(f"{folder} was not made by this command and is left alone; move it away")
    pages = sorted(path for path in built.rglob("*.html") if "_static" not in path.relative_to(built).parts)
    if lost := [words for page in pages for words in broken(page, built)]:
        raise ValueError(f"{len(lost)} links lead nowhere: {'; '.join(lost[:5])}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".site-") as beside:
        draft = Path(beside) / "site"
        shutil.copytree(built, draft, ignore=shutil.ignore_patterns(".buildinfo", "*.doctree"))
        addresses = {page: url + quote(page.relative_to(built).as_posix()) for page in pages}
        for page, address in addresses.items():
            copy = draft / page.relative_to(built)
            tag = f'<link rel="canonical" href="{html.escape(address)}">'
            copy.write_text(copy.read_text(encoding="utf-8").replace("</head>", f"{tag}</head>", 1), encoding="utf-8")
        (draft / "sitemap.xml").write_text(sitemap(addresses.values()), encoding="utf-8")
        (draft / "404.html").write_text(LOST.format(url=html.escape(url)), encoding="utf-8")
        for name in (MADE, ".nojekyll"):  # the second: folders that begin with _ are published by GitHub, too
            (draft / name).touch()
        if folder.exists():
            folder.rename(Path(beside) / "before")
        draft.rename(folder)
    return len(pages)


def sitemap(addresses) -> str:
    """The list of pages that search engines read (sitemaps.org)."""
    rows = "".join(f"<url><loc>{html.escape(one)}</loc></url>\n" for one in addresses)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{rows}</urlset>\n'


def broken(page: Path, built: Path) -> list[str]:
    """Links of a page to files that are not there, or that begin at the root of a server."""
    found = []
    for link in dict.fromkeys(_LINK.findall(page.read_text(encoding="utf-8"))):
        parts = urlsplit(html.unescape(link))
        if parts.scheme or parts.netloc or not parts.path:
            continue
        target = page.parent / unquote(parts.path)
        if parts.path.startswith("/") or not target.exists():
            found.append(f"{page.relative_to(built)} → {link}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the site; 0 if it was written."""
    parser = argparse.ArgumentParser(prog="make site", description=main.__doc__)
    parser.add_argument("url", help="where it will be, such as https://example.org/precsim")
    parser.add_argument("--folder", type=Path, default=ROOT / "dist" / "site")
    options = parser.parse_args(arguments)
    try:
        count = publish(ROOT / "_build" / "html", options.folder, options.url)
    except ValueError as failure:
        sys.stderr.write(f"no site was written: {failure}\n")
        return 1
    sys.stdout.write(f"{count} pages for {options.url} in {options.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
