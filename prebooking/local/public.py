"""The operator's page, served as the platform does: the files of ``public``, with the headers of ``vercel.json``."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from starlette.responses import FileResponse

from prebooking.files import PUBLIC, ROOT


def public_file(path: str) -> FileResponse | None:
    """Return the answer to a GET of this path; None if there is no such file. ``/`` is index.html."""
    file = _files().get("/index.html" if path == "/" else path)
    return FileResponse(file, headers=headers_of(path)) if file else None


def headers_of(path: str) -> dict[str, str]:
    """Return the headers that ``vercel.json`` gives to this path."""
    rules = json.loads((ROOT / "vercel.json").read_text())["headers"]
    matching = [rule["headers"] for rule in rules if re.fullmatch(rule["source"], path)]
    return {header["key"]: header["value"] for headers in matching for header in headers}


@functools.cache
def _files() -> dict[str, Path]:
    return {f"/{file.name}": file for file in PUBLIC.iterdir()}
