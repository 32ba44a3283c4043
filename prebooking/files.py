"""Finds the files that are not modules of the package: migrations, schemas, the page, the functions and their headers.

In a checkout they are beside the package. In a wheel they are inside it, in ``_files``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_IN_A_WHEEL = _PACKAGE / "_files"

# The folder with api/, public/, supabase/, pyproject.toml and vercel.json.
ROOT = _IN_A_WHEEL if _IN_A_WHEEL.is_dir() else _PACKAGE.parent
MIGRATIONS = ROOT / "supabase" / "migrations"
SCHEMAS = ROOT / "supabase" / "schemas"
PUBLIC = ROOT / "public"
