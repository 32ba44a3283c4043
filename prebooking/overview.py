"""How it stands, in numbers: what the database answers an operator who asks."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer of the database, read."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Spread(Answer):
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


class Success(Answer):
    """How prebookings ended."""

    completed: int
    failed: int


class Order(Answer):
    """Neighbours in the line of an opening, and how many of them were called the wrong way round."""

    pairs: int
    overtaken: int


class Figures(Answer):
    """The five figures an operator watches; what each of them counts stands with ``prebooking_figures_v1``."""

    execution_ms: Execution
    success: Success
    connection_errors: int
    order: Order
    lateness_ms: Lateness


class Rows(Answer):
    """Pending prebookings; ``stopped`` are due at a venue that is paused, and not among ``due`` and ``overdue``."""

    pending: int
    due: int
    overdue: int
    stopped: int
    in_doubt: int


class NextOpening(Answer):
    """An opening that somebody waits for."""

    venue: str
    timezone: str
    available_at: AwareDatetime
    prebookings: int


class Late(Answer):
    """One call: when it left, and how long after its opening."""

    fired_at: AwareDatetime
    lateness_ms: int


class Status(Answer):
    """How it stands, by the database's clock."""

    now: AwareDatetime
    last_tick_at: AwareDatetime | None
    open_runs: list[AwareDatetime]
    rows: Rows
    next_openings: list[NextOpening]
    day: Figures
    month: Figures
    recent: list[Late]
