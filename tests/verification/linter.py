"""The checks of Supabase's linter as catalog queries, each with a fault that it must find.

The numbers are Supabase's. Left out are checks that need statistics (unused indexes, bloat, outdated extensions) and
checks of parts of Supabase that are not used (storage, queues, sign-in settings).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

from tests.verification.safeupdate import unguarded


@dataclass(frozen=True, slots=True)
class LintCheck:
    """A query whose rows are findings, and a change of the schema after which there is one.

    With ``within``, each row is a name and a text, and the findings are what that function returns for the text.
    """

    name: str
    query: LiteralString
    fault: LiteralString
    within: Callable[[str], list[str]] | None = None


_AUTH: LiteralString = """
create schema if not exists auth;
create table auth.users (id uuid primary key default gen_random_uuid(), email text unique);
create function auth.uid() returns uuid language sql stable set search_path = '' as 'select null::uuid';
"""

CHECKS = [
    LintCheck(
        "0001 foreign keys without an index",
        """
        select conrelid::regclass || '.' || conname from pg_constraint c
        where contype = 'f' and connamespace = 'public'::regnamespace and not exists (
          select from pg_index i where i.indrelid = c.conrelid and i.indisvalid
            and c.conkey = (i.indkey::int2[])[0:cardinality(c.conkey) - 1])
        """,
        "create table public.planted (id int primary key, venue uuid references public.venues)",
    ),
    LintCheck(
        "0002 auth.users behind a view",
        """
        select distinct v.oid::regclass::text from pg_class v join pg_rewrite r on r.ev_class = v.oid
        join pg_depend d on d.objid = r.oid and d.refobjid = to_regclass('auth.users')
        where v.relnamespace = 'public'::regnamespace and v.relkind in ('v', 'm')
          and (has_table_privilege('anon', v.oid, 'select') or has_table_privilege('authenticated', v.oid, 'select'))
        """,
        f"{_AUTH} create view public.planted as select email from auth.users;"  # noqa: S608 - no input
        "grant select on public.planted to anon",
    ),
    LintCheck(
        "0003 policies that ask for the user in every row",
        r"""
        select tablename || '.' || policyname from pg_policies, concat_ws(' ', qual, with_check) as _(text)
        where schemaname = 'public' and text ~* '(auth\.\w+|current_setting)\('
          and text !~* 'select\s+(auth\.\w+|current_setting)\('
        """,
        f"{_AUTH} create policy planted on public.venues to authenticated using (id = auth.uid())",
    ),
    LintCheck(
        "0004 tables without a primary key",
        """
        select c.oid::regclass::text from pg_class c
        where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
          and not exists (select from pg_index where indrelid = c.oid and indisprimary)
        """,
        "create table public.planted (id int)",
    ),
    LintCheck(
        "0006 several policies for the same command",
        """
        select tablename || ' ' || cmd from pg_policies where schemaname = 'public' and permissive = 'PERMISSIVE'
        group by tablename, roles, cmd having count(*) > 1
        """,
        """
        create policy one on public.venues for select to authenticated using (enabled);
        create policy two on public.venues for select to authenticated using (not enabled)
        """,
    ),
    LintCheck(
        "0007 policies on tables without row security",
        """
        select distinct c.oid::regclass::text from pg_policy p join pg_class c on c.oid = p.polrelid
        where c.relnamespace = 'public'::regnamespace and not c.relrowsecurity
        """,
        """
        create policy planted on public.venues to authenticated using (enabled);
        alter table public.venues disable row level security
        """,
    ),
    LintCheck(
        "0008 row security without a policy",
        """
        select c.oid::regclass::text from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace
          and relrowsecurity and not exists (select from pg_policy where polrelid = c.oid)
        """,
        "create table public.planted (id int); alter table public.planted enable row level security",
    ),
    LintCheck(
        "0009 the same index twice",
        """
        select string_agg(indexname, ', ') from pg_indexes where schemaname = 'public'
        group by tablename, regexp_replace(indexdef, 'INDEX .* ON', 'INDEX ON') having count(*) > 1
        """,
        "create index planted on public.prebooking_runs (opened_at)",
    ),
    LintCheck(
        "0010 views with the rights of their owner",
        """
        select oid::regclass::text from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace
          and not coalesce(reloptions::text ~* 'security_invoker=(true|on|yes|1)', false)
        """,
        "create view public.planted as select id from public.venues",
    ),
    LintCheck(
        "0011 functions with the search path of their caller",
        """
        select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace
          and not exists (select from unnest(proconfig) as _(setting) where setting like 'search_path=%')
        """,
        "create function public.planted() returns int language sql as 'select 1'",
    ),
    LintCheck(
        "0013 tables without row security",
        """
        select oid::regclass::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
          and not relrowsecurity
        """,
        "create table public.planted (id int primary key)",
    ),
    LintCheck(
        "0014 extensions in public",
        "select extname::text from pg_extension where extnamespace = 'public'::regnamespace",
        "update pg_extension set extnamespace = 'public'::regnamespace",
    ),
    LintCheck(
        "0015 policies that trust what users can change",
        """
        select tablename || '.' || policyname from pg_policies
        where schemaname = 'public' and concat_ws(' ', qual, with_check) ~ 'user_metadata'
        """,
        "create policy planted on public.venues using (name = current_setting('jwt')::json ->> 'user_metadata')",
    ),
    LintCheck(
        "0016 materialized views for anon or authenticated",
        """
        select oid::regclass::text from pg_class where relkind = 'm' and relnamespace = 'public'::regnamespace
          and (has_table_privilege('anon', oid, 'select') or has_table_privilege('authenticated', oid, 'select'))
        """,
        "create materialized view public.planted as select 1 as one; grant select on public.planted to authenticated",
    ),
    LintCheck(
        "0017 foreign tables",
        "select oid::regclass::text from pg_class where relkind = 'f' and relnamespace = 'public'::regnamespace",
        """
        create foreign data wrapper planted;
        create server planted foreign data wrapper planted;
        create foreign table public.planted (id int) server planted
        """,
    ),
    LintCheck(
        "0018 columns of types that prevent an upgrade",
        """
        select attrelid::regclass || '.' || attname from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and atttypid in (
          'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype,
          'regoper'::regtype, 'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype)
        """,
        "create table public.planted (id int primary key, what regproc)",
    ),
    LintCheck(
        "0021 foreign keys to unique columns of auth",
        """
        select conname::text from pg_constraint c join pg_class t on t.oid = c.confrelid
        join pg_index i on i.indexrelid = c.conindid
        where contype = 'f' and connamespace = 'public'::regnamespace
          and t.relnamespace = to_regnamespace('auth') and not i.indisprimary
        """,
        f"{_AUTH} create table public.planted (email text primary key references auth.users (email))",
    ),
    LintCheck(
        "0023 secret columns for anon or authenticated",
        """
        select attrelid::regclass || '.' || attname from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and attnum > 0
          and attname ~* '(passw|pwd|secret|token|session|cookie|api_?key|private_?key|otp|email|sealed)'
          and (has_column_privilege('anon', c.oid, attnum, 'select')
            or has_column_privilege('authenticated', c.oid, attnum, 'select'))
        """,
        "grant select (user_email) on public.prebookings to authenticated",
    ),
    LintCheck(
        "0024 policies that allow everything",
        r"""
        select tablename || '.' || policyname from pg_policies where schemaname = 'public' and permissive = 'PERMISSIVE'
          and roles && array['public', 'anon', 'authenticated']::name[]
          and coalesce(qual, with_check, 'true') ~ '^\(*(true|1 = 1)\)*$'
        """,
        "create policy planted on public.venues to anon using (true)",
    ),
    LintCheck(
        "0026, 0027 tables and views that anon or authenticated may use",
        """
        select distinct c.oid::regclass || ' ' || role || ' ' || privilege
        from pg_class c, unnest(array['anon', 'authenticated']) as _(role),
          unnest(array['select', 'insert', 'update', 'references']) as __(privilege)
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and (has_table_privilege(role, c.oid, 'delete, truncate, trigger')
            or has_any_column_privilege(role, c.oid, privilege))
        """,
        "grant update (name) on public.venues to anon",
    ),
    LintCheck(
        "0028, 0029 functions that anon or authenticated may call",
        """
        select oid::regprocedure || ' ' || role from pg_proc, unnest(array['anon', 'authenticated']) as _(role)
        where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')
        """,
        "create function public.planted() returns int language sql set search_path = '' as 'select 1'",
    ),
    LintCheck(
        "functions with the rights of their owner",
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace and prosecdef",
        "alter function public.prebooking_lock() security definer",
    ),
    LintCheck(
        "row security that does not apply to the owner",
        """
        select oid::regclass::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
          and not relforcerowsecurity
        """,
        "alter table public.venues no force row level security",
    ),
    LintCheck(
        "sequences for anon or authenticated",
        """
        select oid::regclass::text from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace
          and (has_sequence_privilege('anon', oid, 'usage, select, update')
            or has_sequence_privilege('authenticated', oid, 'usage, select, update'))
        """,
        "create sequence public.planted; grant usage on sequence public.planted to anon",
    ),
    LintCheck(
        "invalid indexes",
        "select indexrelid::regclass::text from pg_index where not indisvalid",
        "update pg_index set indisvalid = false where indexrelid = 'public.prebookings_due'::regclass",
    ),
    LintCheck(
        "tables without autovacuum",
        """
        select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace
          and reloptions::text ~* 'autovacuum_enabled=(false|off)'
        """,
        "alter table public.prebookings set (autovacuum_enabled = off)",
    ),
    LintCheck(
        "roles that may create objects in public",
        """
        select role from unnest(array['anon', 'authenticated', 'service_role']) as _(role)
        where has_schema_privilege(role, 'public', 'create')
        """,
        "grant create on schema public to authenticated",
    ),
    LintCheck(
        "UPDATE and DELETE that safeupdate refuses",
        """
        select oid::regprocedure::text, coalesce(nullif(prosrc, ''), pg_get_function_sqlbody(oid)) from pg_proc
        where pronamespace = 'public'::regnamespace
        """,
        """
        create function public.planted() returns void language plpgsql as
          'begin update public.venues set enabled = true; end'
        """,
        within=unguarded,
    ),
]
