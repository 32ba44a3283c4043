"""``supabase/schemas`` and ``supabase/migrations`` make the same database."""

from __future__ import annotations

import psycopg

from prebooking.files import SCHEMAS
from prebooking.local.postgres import LocalPostgres, apply_migrations
from tests.support.catalog import CATALOG, objects


def test_schemas_and_migrations_make_the_same_database(postgres: LocalPostgres) -> None:
    dsn = postgres.create_database("from_schemas")
    try:
        apply_migrations(dsn, SCHEMAS)
        assert objects(dsn) == objects(postgres.dsn("migrated"))
    finally:
        postgres.drop_database("from_schemas")


def test_a_difference_is_seen_in_every_kind_of_object(postgres: LocalPostgres) -> None:
    dsn = postgres.create_database("changed", template="migrated")
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                """
                alter table public.venues add column size int check (size > 0), disable row level security;
                create index on public.venues (name);
                create function public.one() returns int language sql return 1;
                create trigger one after insert on public.venues execute function public.venues_refuse();
                create policy one on public.venues using (false);
                """
            )
        before, after = objects(postgres.dsn("migrated")), objects(dsn)
        assert {kind for kind in CATALOG if before[kind] != after[kind]} == set(CATALOG)
        assert all(before.values())
    finally:
        postgres.drop_database("changed")
