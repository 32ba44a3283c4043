"""Finds UPDATE and DELETE without WHERE in the source of a function, which Supabase's ``safeupdate`` refuses.

``safeupdate`` is loaded for every call through the REST API and also checks inside functions. No package registry has
it, so the sources are parsed here. Strings are parsed too, because they may be executed as SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\* )
  | (?P<string> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' )
  | (?P<dollar> \$(?P<tag>[^\W\d]\w*|)\$(?P<inner>.*?)\$(?P=tag)\$ )
  | (?P<name> "(?:[^"]|"")*" | [^\W\d][\w$]* | %[A-Za-z] )
  | (?P<other> \S )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_UPDATED_TABLE = re.compile(r"update (?:only )?(?!set )\S+(?: \. \S+)*(?: \*)?(?: as)?(?: (?!set )\S+)? set ")
_ENDS = {";", "returning", "loop"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def unguarded(body: str) -> list[str]:
    """Return the first words of every UPDATE and DELETE in a function's body that has no WHERE clause."""
    tokens = list(_tokens(body))
    words = [token.text.lower() if token.kind in {"name", "other"} else "''" for token in tokens]
    found = [
        " ".join(words[position : position + 5])
        for position in range(len(words))
        if _changes_rows(words, position) and not _has_where(words[position + 1 :])
    ]
    return found + [statement for token in tokens for statement in unguarded(_executable(token))]


def _changes_rows(words: list[str], position: int) -> bool:
    """Return whether an UPDATE or DELETE statement begins here; ``on conflict do update`` is none."""
    if words[position] == "delete":
        return words[position + 1 : position + 2] == ["from"]
    if words[position] != "update" or words[position - 1 : position] == ["do"]:
        return False
    return bool(_UPDATED_TABLE.match(" ".join(words[position : position + 12]) + " "))


def _has_where(words: list[str]) -> bool:
    """Return whether these words contain WHERE before the end of the statement, outside of parentheses."""
    depth = 0
    for word in words:
        depth += (word in {"(", "["}) - (word in {")", "]"})
        if depth < 0 or (depth == 0 and word in _ENDS):
            return False
        if depth == 0 and word == "where":
            return True
    return False


def _executable(token: _Token) -> str:
    """Return the content of a string, which may be executed; an empty text for any other token."""
    return token.text if token.kind in {"string", "dollar"} else ""


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        kind = match.lastgroup or ""
        if match["comment"] == "/*":
            position = _end_of_comment(text, position)
        elif match["string"]:
            yield _Token("string", match["string"].lstrip("eE")[1:-1].replace("''", "'"))
        elif match["dollar"]:
            yield _Token("dollar", match["inner"])
        elif not match["comment"]:
            yield _Token(kind, match[0])


def _end_of_comment(text: str, position: int) -> int:
    """Return where the comment ends that begins before this position; comments can be nested."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)
