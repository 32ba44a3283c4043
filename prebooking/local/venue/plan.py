"""The calls to the venue twin, its replies, and the plan that a test can set for a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class TwinCall:
    """A request, and the instant at which it arrived; header names are in lower case."""

    at: datetime
    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    path: str = "/"


@dataclass(frozen=True, slots=True)
class TwinReply:
    """A response; ``cookies`` are the values of its Set-Cookie headers. In a plan it replaces the venue's own reply."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: Sequence[str] = ()


class AnswerKind(Enum):
    """How the venue answers a call, unless the plan contains a reply."""

    ANSWER = auto()  # with its own reply
    DROP = auto()  # with a closed connection, without a reply
    HANG = auto()  # never


ANSWER, DROP, HANG = AnswerKind.ANSWER, AnswerKind.DROP, AnswerKind.HANG


@dataclass(frozen=True, slots=True)
class CallPlan:
    """How the venue handles a call; the delays are seconds before and after the venue acts on it.

    With ``acts_after`` the venue acts this many seconds after its answer, so the answer cannot contain the result.
    """

    delay_before: float = 0.0
    acts: bool = True
    delay_after: float = 0.0
    answer: AnswerKind | TwinReply = AnswerKind.ANSWER
    acts_after: float | None = None

    def __post_init__(self) -> None:
        """Refuse combinations that no venue can carry out."""
        if self.acts_after is not None and (self.answer is ANSWER or not self.acts):
            raise ValueError("acts_after needs acts=True and an answer of DROP, HANG or TwinReply(...)")
        if not self.acts and self.answer is ANSWER:
            raise ValueError("acts=False needs an answer of DROP, HANG or TwinReply(...)")
