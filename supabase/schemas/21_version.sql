-- What `prebooking version` shows: the last migration of the database, and the version of the function that calls it.

-- upkeep_due_v1, which also stores the version of the caller. If another transaction has locked the row, the next call does.
create function public.upkeep_due_v2(p_providers text[], p_keys text[], p_version text)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' set jit = off as $$
declare v_due constant jsonb := public.upkeep_due_v1(p_providers, p_keys);
begin
  update public.prebooking_heartbeat set version = p_version
  where only_one in (
    select h.only_one from public.prebooking_heartbeat h where h.version is distinct from p_version for no key update skip locked);
  return v_due;
end $$;

-- The bookkeeping of `prebooking init` and `supabase db push`. It is missing if the migrations were run in another way, and then
-- the version is unknown.
do $$ begin
  grant usage on schema supabase_migrations to service_role;
  grant select (version) on supabase_migrations.schema_migrations to service_role;
exception when invalid_schema_name or undefined_table or insufficient_privilege then null;
end $$;

-- Returns the versions: {"migration", "function", "called_at"}.
--   migration            the last applied migration; null: there is no bookkeeping, or it may not be read
--   function, called_at  the version of the deployment whose upkeep called last, and when; null: none has
create function public.prebooking_version_v1()
returns jsonb language plpgsql volatile security invoker set search_path = '' as $$
declare v_migration text;
begin
  begin
    select max(version) into v_migration from supabase_migrations.schema_migrations;
  exception when undefined_table or insufficient_privilege then null;
  end;
  return (select jsonb_build_object('migration', v_migration, 'function', min(version), 'called_at', min(sessions_at))
    from public.prebooking_heartbeat);
end $$;

revoke all on function public.upkeep_due_v2, public.prebooking_version_v1 from public, anon, authenticated, service_role;
grant execute on function public.upkeep_due_v2, public.prebooking_version_v1 to service_role;
notify pgrst, 'reload schema';
