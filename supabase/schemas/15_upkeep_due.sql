-- What is due for upkeep. Each part has one small function that returns whether there is work for it now.

-- Returns a boolean per part of upkeep: whether it is due for a deployment with these venue systems and keys (null: any key).
-- A part whose function raises an error counts as due: it then fails and is reported, and the others are not prevented.
create function public.prebooking_upkeep_parts(t timestamptz, p_providers text[], p_keys text[])
returns jsonb language plpgsql stable security invoker set search_path = '' as $$
declare v_repeats boolean := true; v_classes boolean := true; v_logins boolean := true; v_places boolean := true;
  v_notifications boolean := true;
begin
  begin v_repeats := public.upkeep_repeats_due(t); exception when others then null; end;
  begin v_classes := public.upkeep_classes_due(t, p_providers); exception when others then null; end;
  begin v_logins := public.upkeep_logins_due(t, p_providers, p_keys); exception when others then null; end;
  begin v_places := public.upkeep_places_due(t, p_providers); exception when others then null; end;
  begin v_notifications := public.upkeep_notifications_due(t); exception when others then null; end;
  return jsonb_build_object('repeats', v_repeats, 'classes', v_classes, 'logins', v_logins, 'places', v_places,
    'notifications', v_notifications);
end $$;

-- Returns what is due now: {"now", "no_login", "failed", and a boolean per part}. Stores the heartbeat of upkeep's trigger, and
-- warnings on prebookings that open within a week without a usable login; no_login is their number. Without a key every login
-- would get a wrong warning, so then none are stored. It also adds up what the operator's page shows (first, while no
-- prebooking is locked), repairs later choices, and stores alerts for the operator. failed names what raised an error.
create function public.upkeep_due_v1(p_providers text[], p_keys text[])
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' set jit = off as $$
declare
  t           constant timestamptz := public.prebooking_clock();
  v_no_login  int := 0;
  v_failed    text[] := '{}';
begin
  begin
    perform public.page_fold(t);
  exception when others then
    v_failed := v_failed || 'page'::text;
  end;
  if p_keys <> '{}' then
    begin
      v_no_login := public.warn_about_logins_v1(
        array(select provider from unnest(p_providers) provider where provider = any (public.prebooking_systems_with('logins'))), p_keys);
    exception when others then
      v_failed := v_failed || 'warnings'::text;
    end;
  end if;
  -- Later choices that were locked when the earlier one ended.
  begin
    perform public.prebooking_repair_choices();
  exception when others then
    v_failed := v_failed || 'choices'::text;
  end;
  begin
    perform public.prebooking_raise_alerts(t);
  exception when others then
    v_failed := v_failed || 'alerts'::text;
  end;
  -- If another transaction has locked the row, the next call writes it.
  update public.prebooking_heartbeat set sessions_at = t
  where only_one in (select h.only_one from public.prebooking_heartbeat h for no key update skip locked);
  insert into public.prebooking_heartbeat (sessions_at)
    select t where not exists (select 1 from public.prebooking_heartbeat) on conflict (only_one) do nothing;
  return jsonb_build_object('now', t, 'no_login', v_no_login, 'failed', v_failed)
    || public.prebooking_upkeep_parts(t, p_providers, p_keys);
end $$;

-- Returns whether this upkeep is the one that reports to the watchdog at HEARTBEAT_URL in this minute of the clock. A repeated
-- call returns the same. If another transaction has locked the row, nobody reports until the next call.
create function public.claim_heartbeat_v1(p_instance uuid)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t constant timestamptz := public.prebooking_clock();
begin
  update public.prebooking_heartbeat set watchdog_at = t, watchdog_by = p_instance
  where only_one in (select h.only_one from public.prebooking_heartbeat h for no key update skip locked)
    and (watchdog_at is null or date_trunc('minute', watchdog_at) <> date_trunc('minute', t));
  return exists (
    select from public.prebooking_heartbeat where watchdog_by = p_instance and watchdog_at >= t - interval '1 minute');
end $$;

revoke all on function public.prebooking_upkeep_parts, public.upkeep_due_v1, public.claim_heartbeat_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_upkeep_parts, public.upkeep_due_v1, public.claim_heartbeat_v1 to service_role;
notify pgrst, 'reload schema';
