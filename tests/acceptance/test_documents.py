"""The SQL in the documents runs: adding rows, migrating an old table, reading results."""

from __future__ import annotations

import re
from pathlib import Path

from prebooking.local.postgres import LocalPostgres, apply_migrations
from tests.support.database import Database

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

OLD_TABLE = """
create table public.prebookings (
  id uuid primary key default gen_random_uuid(), user_email text, booking_data jsonb, status text default 'pending',
  available_at timestamptz, created_at timestamptz default now());
insert into prebookings (user_email, booking_data, available_at) values ('ana@example.com', '{"class_id": 1}', now());
insert into prebookings (user_email, booking_data, status) values ('ben@example.com', '{}', 'completed');
"""


def blocks(document: str, heading: str) -> list[str]:
    """Return the SQL blocks under a heading of a document."""
    text = (ROOT / "docs" / f"{document}.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^ *```sql\n(.*?)```", section, re.DOTALL | re.MULTILINE)
    assert found
    return found


def test_the_documented_sql_adds_a_venue_and_a_prebooking(database: Database) -> None:
    [adds] = blocks("webhook", "A venue and a prebooking")
    database.connection.execute(adds)
    row = database.connection.execute(
        "select v.name, status, available_at at time zone 'UTC' from prebookings p join venues v on v.id = venue_id"
    ).fetchone()
    assert row is not None
    assert (row[0], row[1], str(row[2])) == ("Box Centro", "pending", "2026-12-01 07:00:00")


def test_pending_rows_of_an_old_table_are_migrated(postgres: LocalPostgres) -> None:
    moves_aside, maps = blocks("upgrade", "From an existing `prebookings` table")[0].split("-- then: prebooking init")
    dsn = postgres.create_database("with_an_old_table")
    database = Database(postgres, "with_an_old_table")
    try:
        database.connection.execute(OLD_TABLE)
        database.connection.execute(moves_aside)
        apply_migrations(dsn)
        database.connection.execute(maps)
        emails = database.connection.execute("select user_email, status from prebookings").fetchall()
    finally:
        database.close()
        postgres.drop_database("with_an_old_table")
    assert emails == [("ana@example.com", "pending")]


def test_the_documented_query_returns_only_ended_prebookings(database: Database) -> None:
    [reads] = blocks("operate", "Tell members of the outcome")
    database.connection.execute(blocks("webhook", "A venue and a prebooking")[0])
    assert database.connection.execute(reads).fetchall() == []
    database.connection.execute(
        "update prebookings set status = 'failed', outcome = 'full', settled_at = clock_timestamp()"
    )
    [(_, member, _, status, outcome, *_)] = database.connection.execute(reads).fetchall()
    assert (member, status, outcome) == ("ana@example.com", "failed", "full")


def test_migrations_are_pushed_to_the_project_and_not_to_a_local_database() -> None:
    """Version 3 of the supabase command pushes to a local database without --linked."""
    pushes = [push for path in DOCUMENTS for push in re.findall(r"supabase db push.*", path.read_text())]
    assert len(pushes) > 2
    assert all(push.startswith("supabase db push --linked") for push in pushes)


def test_the_supabase_command_is_installed_in_a_supported_way() -> None:
    """Its own installer refuses to be installed by npm for the whole machine."""
    unsupported = r"npm (?:i|install|add) (?:-g|--global) supabase|npm (?:i|install|add) supabase (?:-g|--global)"
    assert [path.name for path in DOCUMENTS if re.search(unsupported, path.read_text())] == []


def test_no_extension_is_created_in_the_exposed_schema() -> None:
    creates = [
        line for path in DOCUMENTS for line in path.read_text().splitlines() if line.startswith("create extension")
    ]
    homes = {"pg_cron": "", "pg_net": " with schema extensions"}  # pg_cron's control file sets pg_catalog
    assert creates == [f"create extension if not exists {name}{home};" for name, home in homes.items()]
