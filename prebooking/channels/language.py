"""The table that a language has: all words of a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one language.

    Templates of events contain ``{what}``: the class, its venue and when it begins.

    Attributes:
        weekdays: from Monday.
        months: from January.
        day: a day, of ``{weekday}``, ``{date}`` and ``{month}``.
        at: a day and an hour, of ``{day}`` and ``{hour}``.
        subjects: the subject per event; it is followed by the class.
        events: the sentence per event. ``already_booked`` is a booked class that the member had before.
        details: sentences that are added if their value is known: how late the call was, the place on a waiting list,
            when booking opens, until when a place can be given back; and that the next choice is tried.
        reasons: why a prebooking failed and what to do, per outcome.
        warnings: what is wrong and what to do, per code.
        alerts: what is wrong and what the operator has to do, per cause; some contain ``{venue}``.
        comma: the decimal separator.

    """

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    day: str
    at: str
    a_class: str
    a_venue: str
    what: str
    member: str
    subjects: Mapping[str, str]
    events: Mapping[str, str]
    details: Mapping[str, str]
    reasons: Mapping[str, str]
    other_reason: str
    warnings: Mapping[str, str]
    other_warning: str
    alerts: Mapping[str, str]
    other_alert: str
    comma: str = "."
