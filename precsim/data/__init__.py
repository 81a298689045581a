"""Tables of training runs that others have published: where they are, under which licence, and how they become ours.

The package contains none of them. `fetch` downloads a table from its source at a pinned commit when it is asked to;
`load_folder` reads files that are on the disk already. Both check that the result is the table this package knows.
"""

from __future__ import annotations

from precsim.data.public import TABLES, DigestError, PublicTable, digest, fetch, load_folder

__all__ = ["TABLES", "DigestError", "PublicTable", "digest", "fetch", "load_folder"]
