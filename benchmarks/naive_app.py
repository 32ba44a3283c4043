"""A naive version of the function: the libraries' default clients, created when needed, one after the other."""

from __future__ import annotations

import os
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from supabase import acreate_client

app = FastAPI()


@app.post("/api/cron/prebooking_scheduler", response_model=None)
async def run() -> JSONResponse:
    instance = "00000000-0000-4000-8000-000000000001"
    database = await acreate_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"])
    times = {"p_fire_within_ms": 6000, "p_stagger_ms": 50, "p_lead_ms": 0, "p_lease_ms": 30_000, "p_turn_ms": 8000}
    claim = {"p_instance": instance, "p_providers": ["webhook"], "p_limit": 50} | times
    answer: Any = (await database.rpc("claim_due_prebookings_v1", claim).execute()).data
    for row in answer["rows"]:
        message = {"prebooking_id": row["id"], "user_email": row["user_email"], "venue_id": row["venue"]["id"]}
        headers = {"Authorization": f"Bearer {os.environ['BOOKING_WEBHOOK_SECRET']}", "Idempotency-Key": row["id"]}
        message |= {"booking_data": row["booking_data"]}
        async with httpx.AsyncClient() as venue:
            await venue.post(os.environ["BOOKING_WEBHOOK_URL"], json=message, headers=headers)
        settled = {
            "p_outcome": "booked",
            "p_attempts": 1,
            "p_fired_at": None,
            "p_answered_at": None,
            "p_booking_id": None,
        }
        await database.rpc("complete_prebooking_v1", {"p_instance": instance, "p_id": row["id"]} | settled).execute()
    return JSONResponse({"booked": len(answer["rows"])})
