"""Writes what ``make bench`` and ``make prove`` print into the documents, with WRITE=1.

In a Markdown file such a part is between two comments, ``<!-- made by `make bench`: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from docs import made


def wanted() -> bool:
    """Return whether the documents are to be written."""
    return bool(os.environ.get("WRITE"))


def write(target: str, parts: Mapping[str, str]) -> None:
    """Write the parts of a target into the documents, and leave all other text as it is."""
    for path in made.DOCUMENTS:
        text = path.read_text()
        new = pattern(target).sub(lambda part: f"{part[1]}\n{parts[part[2]]}\n\n{part[3]}", text)
        if new != text:
            path.write_text(new)


def pattern(target: str) -> re.Pattern[str]:
    """Return the pattern of a target's parts, with the name as its second group."""
    return re.compile(rf"(<!-- made by `make {target}`: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
