"""How it stands, in numbers: what the database answers an operator who asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainValidator, ValidationError

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_NAMES = ("name", "id", "user_email", "venue")  # what can name a row that cannot be read
_NAME_LENGTH = 60


class DatabaseModel(BaseModel):
    """An answer of the database, read."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Rows(list[T]):
    """The rows of a list that can be read; ``unreadable`` has a sentence for each other one, with its cure."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: list[str] = []


def read_each(model: type[M]) -> Callable[[Any], Rows[M]]:
    """Return a reader of a list that reads row by row, so that one row that cannot be read hides no other."""

    def read(rows: Any) -> Rows[M]:
        if not isinstance(rows, list):
            raise ValueError("no list")  # noqa: TRY004 - as pydantic's: it is the database's answer that is wrong
        found = Rows[M]()
        for row in rows:
            try:
                found.append(model.model_validate(row))
            except ValidationError as exc:
                found.unreadable.append(_unreadable(row, exc))
        return found

    return read


def _unreadable(row: Any, exc: ValidationError) -> str:
    """Return which row cannot be read, and because of which columns; never what they hold."""
    columns = sorted({".".join(map(str, error["loc"])) for error in exc.errors(include_input=False, include_url=False)})
    named = [
        str(row[name])[:_NAME_LENGTH] for name in _NAMES if isinstance(row, dict) and isinstance(row.get(name), str)
    ]
    return f"{' '.join(named) or 'a row'} cannot be read: correct {', '.join(columns)} in the database"


class Spread(DatabaseModel):
    """How values are spread, in milliseconds; None: there are none."""

    p50: float | None
    p95: float | None
    max: float | None


class Execution(Spread):
    """How long runs took; ``cut_off`` of them never came to their end."""

    runs: int
    cut_off: int


class Lateness(Spread):
    """How long after the opening first calls left."""

    calls: int


class Success(DatabaseModel):
    """How prebookings ended; ``reasons`` counts the outcomes of those that failed."""

    completed: int
    failed: int
    reasons: dict[str, int]


class Order(DatabaseModel):
    """Neighbours in the line of an opening, and how many of them were called the wrong way round."""

    pairs: int
    overtaken: int


class Figures(DatabaseModel):
    """The five figures an operator watches; what each of them counts stands with ``prebooking_figures_v1``."""

    execution_ms: Execution
    success: Success
    connection_errors: int
    order: Order
    lateness_ms: Lateness


class Waiting(DatabaseModel):
    """Pending prebookings; ``stopped`` are due at a venue that is paused, and not among ``due`` and ``overdue``."""

    pending: int
    due: int
    overdue: int
    stopped: int
    in_doubt: int
    bad_data: int


class NextOpening(DatabaseModel):
    """An opening that somebody waits for."""

    venue: str
    timezone: str
    available_at: AwareDatetime
    prebookings: int


class Late(DatabaseModel):
    """One call: when it left, and how long after its opening."""

    fired_at: AwareDatetime
    lateness_ms: int


class Locks(DatabaseModel):
    """Locks that are held for longer than any claim holds them, by sessions of the database (``pid``)."""

    rows: int
    row_pids: list[int]
    claims_pid: int | None


class ClaimCost(DatabaseModel):
    """What the last runs have spent on their slowest claim, in milliseconds."""

    p50: int | None
    max: int | None
    runs: int


class NoLogin(DatabaseModel):
    """A member who waits for a class at a venue where a login books, and has none."""

    venue: str
    timezone: str
    user_email: str
    opens: AwareDatetime


class Trouble(DatabaseModel):
    """A venue that could not be reached, or blocked the function, since an instant."""

    venue: str
    timezone: str
    since: AwareDatetime


class Health(DatabaseModel):
    """What tells whether prebookings will be booked, by the database's clock; see ``prebooking_watch_v1``."""

    now: AwareDatetime
    last_tick_at: AwareDatetime | None
    sessions_at: AwareDatetime | None
    rows: Waiting
    overdue: dict[str, int]
    troubled: Annotated[Rows[Trouble], PlainValidator(read_each(Trouble))]
    locks: Locks
    claim_ms: ClaimCost
    logins: int
    no_login: Annotated[Rows[NoLogin], PlainValidator(read_each(NoLogin))]
    other_key: int


class Status(Health):
    """The whole state, by the database's clock."""

    open_runs: list[AwareDatetime]
    next_openings: Annotated[Rows[NextOpening], PlainValidator(read_each(NextOpening))]
    day: Figures
    month: Figures
    recent: list[Late]
