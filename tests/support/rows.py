"""Prebookings and venues as a claim returns them, without a database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from prebooking.model import Prebooking, Venue
from tests.support.doubles import EPOCH


def claimed_venue(**overrides: Any) -> Venue:
    """Return a webhook venue."""
    venue = {"id": uuid4(), "name": "Box", "provider": "webhook", "host": None, "provider_box_id": None}
    return Venue.model_validate({**venue, "timezone": "Europe/Madrid", "idempotent": False, **overrides})


def claimed_row(**overrides: Any) -> Prebooking:
    """Return a prebooking that opens at the epoch and whose class begins an hour later."""
    instants = {"available_at": EPOCH, "expires_at": EPOCH + timedelta(hours=1), "created_at": EPOCH}
    row = {"id": uuid4(), "venue": claimed_venue(), "user_email": "ana@example.com", "booking_data": {}}
    return Prebooking.model_validate({**row, **instants, "maybe_sent": False, **overrides})
