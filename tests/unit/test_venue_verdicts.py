"""The venue twin can send every verdict of AimHarder."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from prebooking.local.venue.twin import CallPlan
from prebooking.local.venue.verdicts import VERDICTS
from tests.support.gym import Browser, email, gym


async def asks_for_a_place(client: httpx.AsyncClient) -> httpx.Response:
    return await (await Browser.of(client, "ana")).book()


STATES = {
    "booked": (1, None),
    "waitlisted": (0, None),
    "full": (-1, None),
    "no_credit": (-2, None),
    "too_early_gym": (-4, None),
    "payment_due": (-5, None),
    "too_late": (-7, None),
    "limit_reached": (-8, None),
    "too_early": (-12, "ERROR_ANTELACION_CLIENTE"),
    "too_early_hours": (-12, "ERROR_ANTELACION_CLIENTE_HORAS"),
    "same_hour": (-12, "NOPUEDESRESERVAMISMAHORA"),
    "limit_of_contract": (-12, "HASSUPERADOLIMITCONTR"),
    "refused_without_key": (-12, None),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_every_verdict_can_be_had_without_an_act(carried: Any, name: str) -> None:
    twin = gym()
    twin.script(email("ana"), CallPlan(acts=False, answer=VERDICTS[name]))

    answer = carried(twin, asks_for_a_place)

    assert (answer.status_code, answer.content) == (VERDICTS[name].status, VERDICTS[name].body)
    if name in STATES:
        body = json.loads(answer.content)
        assert (body["bookState"], body.get("errorMssgLang")) == STATES[name]
    assert twin.ledger.bookings() == []
    assert set(STATES) <= set(VERDICTS)
