"""The health and the figures that the database reports to an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainValidator, ValidationError

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

# Columns that identify an unreadable row in a message.
_NAMES = ("name", "id", "user_email", "venue")
_NAME_LENGTH = 60


class DatabaseModel(BaseModel):
    """Base of models that are read from a database answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Rows(list[T]):
    """The readable rows of a list; ``unreadable`` has one message per row that cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: list[str] = []


def read_each(model: type[M]) -> Callable[[Any], Rows[M]]:
    """Return a function that reads a list row by row, so that one unreadable row does not hide the others."""

    def read(rows: Any) -> Rows[M]:
        if not isinstance(rows, list):
            raise ValueError("no list")  # noqa: TRY004 - pydantic turns a ValueError into a ValidationError
        found = Rows[M]()
        for row in rows:
            try:
                found.append(model.model_validate(row))
            except ValidationError as exc:
                found.unreadable.append(_unreadable(row, exc))
        return found

    return read


def _unreadable(row: Any, exc: ValidationError) -> str:
    """Return a message that names the row and its unreadable columns, without their values."""
    columns = sorted({".".join(map(str, error["loc"])) for error in exc.errors(include_input=False, include_url=False)})
    named = [
        str(row[name])[:_NAME_LENGTH] for name in _NAMES if isinstance(row, dict) and isinstance(row.get(name), str)
    ]
    return f"{' '.join(named) or 'a row'} cannot be read: correct {', '.join(columns)} in the database"


class Spread(DatabaseModel):
    """Percentiles in milliseconds; None if there are no values."""

    p50: float | None
    p95: float | None
    max: float | None


class Execution(Spread):
    """How long runs took; ``cut_off`` counts the runs that were never closed."""

    runs: int
    cut_off: int


class Lateness(Spread):
    """How long after the opening the first calls were sent."""

    calls: int


class Success(DatabaseModel):
    """How many prebookings completed and failed; ``reasons`` counts the failed ones per outcome."""

    completed: int
    failed: int
    reasons: dict[str, int]


class Order(DatabaseModel):
    """Pairs of neighbours in the queue of an opening, and how many pairs were called in the wrong order."""

    pairs: int
    overtaken: int


class Figures(DatabaseModel):
    """The five figures for an operator; ``prebooking_figures_v1`` defines what each one counts."""

    execution_ms: Execution
    success: Success
    connection_errors: int
    order: Order
    lateness_ms: Lateness


class Waiting(DatabaseModel):
    """Counts of pending prebookings; those due at a paused venue are ``stopped``, not ``due`` or ``overdue``."""

    pending: int
    due: int
    overdue: int
    stopped: int
    in_doubt: int
    bad_data: int


class NextOpening(DatabaseModel):
    """A future opening with pending prebookings."""

    venue: str
    timezone: str
    available_at: AwareDatetime
    prebookings: int


class Late(DatabaseModel):
    """One call: when it was sent, and how long after its opening."""

    fired_at: AwareDatetime
    lateness_ms: int


class Locks(DatabaseModel):
    """Locks held for longer than a claim takes, with the pids of the database sessions that hold them."""

    rows: int
    row_pids: list[int]
    claims_pid: int | None


class ClaimCost(DatabaseModel):
    """How long the slowest claim of each of the last runs took, in milliseconds."""

    p50: int | None
    max: int | None
    runs: int


class NoLogin(DatabaseModel):
    """A member with a pending prebooking at a venue that needs a login, but without a login there."""

    venue: str
    timezone: str
    user_email: str
    opens: AwareDatetime


class Trouble(DatabaseModel):
    """A venue that could not be reached, or that blocked the function, since this instant."""

    venue: str
    timezone: str
    since: AwareDatetime


class FailingChannel(DatabaseModel):
    """A channel whose last message was not taken; ``failure`` is our code. Without a member it is the operator's."""

    id: UUID
    kind: str
    user_email: str | None
    failed_at: AwareDatetime
    failure: str


class Messages(DatabaseModel):
    """The state of the messages.

    ``alerts``: of the channels, those that tell the operator about alerts. ``dead``: the messages that were given up in
    the last day, per code of the failure.
    """

    channels: int = 0
    alerts: int = 0
    waiting: int = 0
    dead: dict[str, int] = {}
    failing: Annotated[Rows[FailingChannel], PlainValidator(read_each(FailingChannel))] = Rows[FailingChannel]()


class Health(DatabaseModel):
    """Whether prebookings will be booked, by the database's clock; see ``prebooking_watch_v1``."""

    now: AwareDatetime
    last_tick_at: AwareDatetime | None
    sessions_at: AwareDatetime | None
    watchdog_at: AwareDatetime | None = None  # the default is for a database that is not migrated yet
    rows: Waiting
    overdue: dict[str, int]
    troubled: Annotated[Rows[Trouble], PlainValidator(read_each(Trouble))]
    locks: Locks
    claim_ms: ClaimCost
    upkeep: list[str]  # the parts that were due three minutes ago already
    logins: int
    no_login: Annotated[Rows[NoLogin], PlainValidator(read_each(NoLogin))]
    other_key: int
    messages: Messages = Messages()


class Status(Health):
    """Health, next openings and figures, by the database's clock."""

    open_runs: list[AwareDatetime]
    next_openings: Annotated[Rows[NextOpening], PlainValidator(read_each(NextOpening))]
    day: Figures
    month: Figures
    recent: list[Late]
