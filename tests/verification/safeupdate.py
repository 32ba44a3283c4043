"""What Supabase's ``safeupdate`` refuses, found in the text of a function: UPDATE and DELETE without WHERE.

``safeupdate`` is loaded for every call that comes through the REST API, and looks into the functions that are called.
It is in no package registry, so their text is read here. Strings are read as well: they may be SQL that is executed.
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
    """Return the first words of every UPDATE and DELETE in a function's body that has no WHERE of its own."""
    tokens = list(_tokens(body))
    words = [token.text.lower() if token.kind in {"name", "other"} else "''" for token in tokens]
    found = [
        " ".join(words[place : place + 5])
        for place in range(len(words))
        if _changes_rows(words, place) and not _has_where(words[place + 1 :])
    ]
    return found + [statement for token in tokens for statement in unguarded(_executable(token))]


def _changes_rows(words: list[str], place: int) -> bool:
    """Return whether an UPDATE or DELETE of its own begins here; ``on conflict do update`` is none."""
    if words[place] == "delete":
        return words[place + 1 : place + 2] == ["from"]
    if words[place] != "update" or words[place - 1 : place] == ["do"]:
        return False
    return bool(_UPDATED_TABLE.match(" ".join(words[place : place + 12]) + " "))


def _has_where(words: list[str]) -> bool:
    """Return whether WHERE comes before the end of the statement whose words these are, outside of parentheses."""
    depth = 0
    for word in words:
        depth += (word in {"(", "["}) - (word in {")", "]"})
        if depth < 0 or (depth == 0 and word in _ENDS):
            return False
        if depth == 0 and word == "where":
            return True
    return False


def _executable(token: _Token) -> str:
    """Return what a string says, because it may be executed; nothing of any other token."""
    return token.text if token.kind in {"string", "dollar"} else ""


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while match := _TOKEN.search(text, place):
        place = match.end()
        kind = match.lastgroup or ""
        if match["comment"] == "/*":
            place = _end_of_comment(text, place)
        elif match["string"]:
            yield _Token("string", match["string"].lstrip("eE")[1:-1].replace("''", "'"))
        elif match["dollar"]:
            yield _Token("dollar", match["inner"])
        elif not match["comment"]:
            yield _Token(kind, match[0])


def _end_of_comment(text: str, place: int) -> int:
    """Return where a comment ends that begins before this place; comments can contain comments."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)
