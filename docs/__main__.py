"""``make docs``: draw the picture, and write the tables into the documents."""

from __future__ import annotations

import sys

from docs.made import write

if __name__ == "__main__":
    for path in write():
        sys.stdout.write(f"wrote {path}\n")
