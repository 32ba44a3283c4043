"""The claim takes the same rows as its first version, which looked at all due rows.

The first version is in a migration that does not change, so it is the model: the same rows, the same order, the same
answer, and the same table afterwards.
"""

from __future__ import annotations

import re
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from prebooking.files import MIGRATIONS
from tests.support.database import At, Connection
from tests.support.factories import noon

_CLAIM, _CHOICE = "claim_due_prebookings_v1", "prebooking_venues_to_claim"
_KEYS = ["0123456789abcdef", "fedcba9876543210"]
_COLUMNS = (
    "id, venue_id, user_email, booking_data, available_at, created_at, expires_at, maybe_sent, retry_after, blocks,"
    " claimed_by, claimed_until, turn_until"
)


@pytest.fixture
def first_version(owner: Connection, at: At) -> None:
    source = (MIGRATIONS / "20261126000003_claim.sql").read_text()
    found = re.search(rf"create function public\.{_CLAIM}\(.*?\nend \$\$;", source, re.DOTALL)
    assert found
    owner.execute(found[0].replace(_CLAIM, "first_claim").encode())


@pytest.mark.grid
@pytest.mark.usefixtures("first_version")
@pytest.mark.parametrize("walk", [1000, 15, 3], ids=["reads all due rows", "reads some", "reads few"])
@pytest.mark.parametrize("seed", range(12))
def test_a_claim_takes_what_its_first_version_takes(
    owner: Connection, service: Connection, editor: Connection, walk: int, seed: int
) -> None:
    _read_at_most(owner, walk)
    random = Random(seed)  # noqa: S311 - not a secret
    me, members = _uuid(random), [f"{n}@example.com" for n in range(12)]
    _add_venues(owner, random, members)
    _add_rows(owner, random, me, members)
    with editor.transaction():
        editor.execute(
            "select from public.prebookings where id = any(%s) for update",
            [random.sample([row for (row,) in owner.execute("select id from public.prebookings")], 4)],
        )
        for _ in range(6):
            limit, within = random.choice((1, 3, 8, 30, 100, 500)), random.choice((0, 150, 500, 6000))
            lead, keys = random.choice((0, 3000)), random.choice((None, [], _KEYS[:1], _KEYS))
            call = [me, limit, within, lead, keys]
            assert _outcome(service, _CLAIM, call) == _outcome(service, "first_claim", call), call


def _outcome(service: Connection, function: str, call: list[Any]) -> Any:
    """Return the answer of a claim that is rolled back, and the rows that it changed."""
    query = f"select public.{function}(%s, '{{webhook,aimharder}}', %s, %s, 50, %s, 30000, 8000, false, %s)"
    with service.transaction(force_rollback=True):
        [(answer,)] = service.execute(query.encode(), call).fetchall()
        rows = service.execute(
            "select p, p.xmin::text = pg_current_xact_id()::xid::text from public.prebookings p order by id"
        ).fetchall()
    return answer, rows


def _read_at_most(owner: Connection, rows: int) -> None:
    """Let the claim read at most this number of due rows in order, before it reads the first due row of every venue."""
    [(source,)] = owner.execute("select pg_get_functiondef(%s::regproc)", [f"public.{_CHOICE}"]).fetchall()
    changed = source.replace(":= 1000;", f":= {rows};")
    assert rows == 1000 or changed != source
    owner.execute(changed.encode())


def _add_venues(owner: Connection, random: Random, members: list[str]) -> None:
    for number in range(random.choice((2, 6, 14))):
        provider = random.choice(("webhook", "webhook", "aimharder"))
        venue = _uuid(random)
        owner.execute(
            """insert into public.venues
              (id, name, provider, host, timezone, enabled, paused_until, troubled_since, answered_at)
            values (%s, %s, %s, %s, 'UTC', %s, %s, %s, %s)""",
            [
                venue,
                f"v{number}",
                provider,
                f"{number}.example",
                random.random() > 0.1,
                random.choice((None, None, None, noon(-1), noon(5), noon(-900))),
                random.choice((None, None, None, noon(-900), noon(-30))),
                random.choice((None, noon(-20))),
            ],
        )
        for member in members:
            if random.random() > 0.2:
                owner.execute(
                    """insert into public.member_sessions
                      (venue_id, user_email, sealed, refreshed_at, key_id, expired_at)
                    values (%s, %s, 'x', %s, %s, %s)""",
                    [venue, member, noon(-60), random.choice((None, *_KEYS)), random.choice((None, None, noon(-1)))],
                )


def _add_rows(owner: Connection, random: Random, me: UUID, members: list[str]) -> None:
    venues = [venue for (venue,) in owner.execute("select id from public.venues order by name")]
    others, openings = [_uuid(random) for _ in range(3)], [noon(s) for s in (-90, -60, -60.5, -1, 0, 0.2, 2.9, 60)]
    rows = []
    for number in range(random.choice((5, 40, 150, 400))):
        opening = random.choice(openings)
        rows.append(
            [
                _uuid(random),
                # Most rows are of the first venues.
                venues[int(len(venues) * random.random() ** 2)],
                random.choice(members),
                f'{{"class_id": {number}}}',
                opening,
                opening - timedelta(seconds=random.randrange(20)),
                max(noon(random.choice((-1, 3600, 7200, 86_400))), opening + timedelta(seconds=1)),
                *_state(random, me, others),
            ]
        )
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        owner.cursor().executemany(
            f"insert into public.prebookings ({_COLUMNS}) values ({', '.join(['%s'] * 13)})".encode(),  # noqa: S608 - our own text
            rows,
        )


def _state(random: Random, me: UUID, others: list[UUID]) -> list[Any]:
    """Return whether a row may have been sent, its back-off, its blocks, and its claim."""
    kind = random.random()
    if kind < 0.6:
        return [False, None, 0, None, None, None]
    if kind < 0.8:
        back_off = random.choice((None, noon(-30), noon(30), noon(3600)))
        return [random.random() < 0.5, back_off, random.choice((0, 0, 2)), None, None, None]
    holder = random.choice((me, *others))
    until = noon(random.choice((-1, 20, 20, 3600)))
    return [random.random() < 0.5, None, 0, holder, until, random.choice((noon(-2), min(until, noon(6)), noon(3600)))]


def _uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128))
