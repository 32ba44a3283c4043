"""What goes to the venue twin and comes back, whatever carries it, and what becomes of it on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class TwinCall:
    """A request as its carrier hands it over, with the instant at which it came; header names in lower case."""

    at: datetime
    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    path: str = "/"


@dataclass(frozen=True, slots=True)
class TwinReply:
    """A response as its carrier takes it; in a fate: answered as it stands, whatever the venue would say.

    ``cookies`` are whole Set-Cookie lines.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: Sequence[str] = ()


Canned = TwinReply


class AnswerKind(Enum):
    """How a call ends, if not by a canned reply."""

    ANSWER = auto()  # with what the venue says
    DROP = auto()  # the connection is cut without an answer
    HANG = auto()  # never


ANSWER, DROP, HANG = AnswerKind.ANSWER, AnswerKind.DROP, AnswerKind.HANG


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What becomes of a call once it has arrived; delays in seconds, before and after the venue acts on it.

    With ``acts_after`` the venue acts this many seconds after its answer, so the answer cannot name the result.
    """

    delay_before: float = 0.0
    acts: bool = True
    delay_after: float = 0.0
    answer: AnswerKind | TwinReply = AnswerKind.ANSWER
    acts_after: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no venue can do."""
        if self.acts_after is not None and (self.answer is ANSWER or not self.acts):
            raise ValueError("a venue that acts after its answer says DROP, HANG or Canned(...), and acts")
        if not self.acts and self.answer is ANSWER:
            raise ValueError("a venue that does not act has nothing to answer: say DROP, HANG or Canned(...)")
