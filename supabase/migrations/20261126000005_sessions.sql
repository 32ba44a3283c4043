-- Members' sessions: stored encrypted, refreshed by one invocation at a time, and ended when the venue refuses them.
-- The database cannot decrypt them. Every write states the version that it replaces, and returns whether it did.

-- Stores a warning on a member's prebookings, or removes it (null). It skips rows that are held, and rows that open within a
-- minute, except those that no claim takes because of their warning. It waits for no lock.
create function public.warn_prebookings(p_venue_id uuid, p_email text, p_warning text)
returns void language sql volatile security invoker set search_path = '' as $$
  update public.prebookings set warning = p_warning
  where id in (
    select id from public.prebookings
    where venue_id = p_venue_id and lower(user_email) = p_email and status = 'pending' and claimed_by is null
      and (available_at > public.prebooking_clock() + interval '1 minute' or warning ~ '^(no_login|other_key):')
      and warning is distinct from p_warning
    for no key update skip locked);
$$;

-- Stores a session. p_version is the version that was refreshed; null means a new login, which replaces any version. p_key_id
-- is the id of the key that encrypted it. Returns the new version, also in a repeated call; null if the stored session has
-- another version, and nothing was changed.
create function public.save_session_v1(p_venue_id uuid, p_user_email text, p_sealed text, p_version int, p_key_id text default null)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_email text := public.prebooking_member(p_user_email); v_version int;
begin
  if p_version is null then
    insert into public.member_sessions as s (venue_id, user_email, sealed, key_id, refreshed_at)
    values (p_venue_id, v_email, p_sealed, p_key_id, t)
    on conflict (venue_id, user_email) do update
    set sealed = excluded.sealed, key_id = excluded.key_id, version = s.version + (s.sealed <> excluded.sealed)::int,
        refreshed_at = t, expired_at = null, leased_by = null, leased_until = null
    returning version into v_version;
  else
    update public.member_sessions
    set sealed = p_sealed, key_id = p_key_id, version = version + 1, refreshed_at = t, leased_by = null, leased_until = null
    where venue_id = p_venue_id and user_email = v_email and version = p_version and expired_at is null;
    select version into v_version from public.member_sessions
    where venue_id = p_venue_id and user_email = v_email and version = p_version + 1 and sealed = p_sealed;
  end if;
  if v_version is not null then
    perform public.warn_prebookings(p_venue_id, v_email, null);
  end if;
  -- Rows that were put off because they had no login can be claimed at once.
  if p_version is null then
    update public.prebookings set retry_after = null, setbacks = 0
    where id in (
      select id from public.prebookings
      where venue_id = p_venue_id and lower(user_email) = v_email and status = 'pending' and claimed_by is null
        and retry_after > t and not maybe_sent and early_since is null
      for no key update skip locked);
  end if;
  return v_version;
end $$;

-- Returns the ids of the keys that encrypted the stored sessions.
create function public.session_key_ids_v1()
returns jsonb language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(distinct key_id), '[]') from public.member_sessions where key_id is not null;
$$;

-- Stores a warning on prebookings that open within a day without a usable login: none is stored, the venue has refused it, or
-- none of p_keys decrypts it. Removes warnings that are no longer true. It waits for no lock, and skips rows that are held.
-- Returns the number of prebookings without a usable login.
create function public.warn_about_logins_v1(p_providers text[], p_keys text[])
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_lacking int;
begin
  with wanted as materialized (
    select p.id, p.warning as old, case
      when s.venue_id is null then 'no_login: there is no login for this member. The member has to log in before booking opens.'
      when s.expired_at is not null then 'session_expired: the venue asks the member to log in again.'
      when s.key_id <> all (p_keys) then 'other_key: the login was sealed with another key than this deployment has.' end as warning
    from public.prebookings p join public.venues v on v.id = p.venue_id and v.provider = any (p_providers)
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email)
    where p.status = 'pending' and p.claimed_by is null and p.available_at between t + interval '1 minute' and t + interval '24 hours'),
  free as materialized (
    select p.id, w.warning from public.prebookings p join wanted w on w.id = p.id
    where p.status = 'pending' and p.claimed_by is null and w.warning is distinct from w.old and case
      when w.warning is null then w.old ~ '^(no_login|other_key):' else coalesce(w.old, '') !~ '^bad_data:' end
    for no key update of p skip locked),
  warned as (
    update public.prebookings p set warning = free.warning from free where p.id = free.id returning p.id)
  select count(*) filter (where warning is not null) into v_lacking from wanted;
  return v_lacking;
end $$;

-- Stores a warning about this version of a session on its member's prebookings; p_over also ends the session, because the
-- venue has refused it. Returns false if there is a newer version, and changes nothing then.
create function public.warn_about_session_v1(p_venue_id uuid, p_user_email text, p_version int, p_over boolean, p_warning text)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock();
begin
  update public.member_sessions
  set expired_at = case when p_over then coalesce(expired_at, t) else expired_at end
  where venue_id = p_venue_id and user_email = public.prebooking_member(p_user_email) and version = p_version;
  if not found then
    return false;
  end if;
  perform public.warn_prebookings(p_venue_id, public.prebooking_member(p_user_email), p_warning);
  return true;
end $$;

-- Leases one version of a session for a refresh, for half a minute. Returns {"state", "session"}:
--   leased   the caller refreshes it, and then saves it or warns about it
--   newer    there is a newer version, which is returned
--   busy     another invocation is refreshing it
--   over     the venue has refused this login, so the member has to log in
--   gone     it was removed
create function public.lease_session_v1(p_instance uuid, p_venue_id uuid, p_user_email text, p_version int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_email text := public.prebooking_member(p_user_email);
begin
  update public.member_sessions set leased_by = p_instance, leased_until = t + interval '30 seconds'
  where venue_id = p_venue_id and user_email = v_email and version = p_version and expired_at is null
    and (leased_until is null or leased_until <= t or leased_until > t + interval '5 minutes' or leased_by = p_instance);
  if found then
    return jsonb_build_object('state', 'leased');
  end if;
  return coalesce((
    select case when expired_at is not null then jsonb_build_object('state', 'over')
      when version = p_version then jsonb_build_object('state', 'busy')
      else jsonb_build_object('state', 'newer', 'session',
        jsonb_build_object('sealed', sealed, 'version', version, 'refreshed_at', refreshed_at)) end
    from public.member_sessions where venue_id = p_venue_id and user_email = v_email),
    jsonb_build_object('state', 'gone'));
end $$;

-- Leases the sessions that should be refreshed now: those older than p_age_ms, of members with a prebooking that opens within
-- a day, the earliest opening first. Sessions that none of p_keys decrypts (null: any key) are left to other deployments.
-- Sessions that are needed later expire, because a refresh every half hour for days would be impolite to the venue.
create function public.claim_sessions_v1(
  p_instance uuid, p_providers text[], p_age_ms int, p_limit int, p_keys text[] default null)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_sessions jsonb;
begin
  with wanted as materialized (
    select p.venue_id, lower(p.user_email) as user_email, min(p.available_at) as opens
    from public.prebookings p where p.status = 'pending' and p.available_at <= t + interval '24 hours'
    group by p.venue_id, lower(p.user_email)
    -- Not of members who are being booked now, because a refresh ends the old session at once.
    having not bool_or(p.claimed_by is not null or p.available_at between t - interval '1 minute' and t + interval '1 minute')),
  free as materialized (
    select s.venue_id, s.user_email, w.opens
    from public.member_sessions s join wanted w using (venue_id, user_email) join public.venues v on v.id = s.venue_id
    where s.expired_at is null and s.refreshed_at <= t - p_age_ms * interval '1 millisecond'
      and (s.leased_until is null or s.leased_until <= t or s.leased_until > t + interval '5 minutes')  -- no lease is that long
      and (p_keys is null or s.key_id is null or s.key_id = any (p_keys))
      and v.provider = any (p_providers) and v.enabled and (v.paused_until is null or v.paused_until <= t)
    order by w.opens, s.venue_id, s.user_email limit p_limit
    for no key update of s skip locked),
  leased as (
    update public.member_sessions s set leased_by = p_instance, leased_until = t + interval '30 seconds'
    from free f where s.venue_id = f.venue_id and s.user_email = f.user_email
    returning s.venue_id, s.user_email, s.sealed, s.version, s.refreshed_at, f.opens)
  select coalesce(jsonb_agg(jsonb_build_object('user_email', l.user_email,
      'session', jsonb_build_object('sealed', l.sealed, 'version', l.version, 'refreshed_at', l.refreshed_at),
      'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
        'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent))
    order by l.opens, l.venue_id, l.user_email), '[]')
  into v_sessions from leased l join public.venues v on v.id = l.venue_id;
  return v_sessions;
end $$;

-- Returns whether a session has to be refreshed now, by the conditions of claim_sessions_v1. p_keys null: of any key.
create function public.upkeep_logins_due(t timestamptz, p_providers text[], p_keys text[])
returns boolean language sql stable security invoker set search_path = '' as $$
  select exists (
    select from public.member_sessions s join public.venues v on v.id = s.venue_id
    where s.expired_at is null and s.refreshed_at <= t - interval '25 minutes'
      and (s.leased_until is null or s.leased_until <= t or s.leased_until > t + interval '5 minutes')
      and (s.key_id is null or p_keys is null or s.key_id = any (p_keys))
      and v.provider = any (p_providers) and v.enabled and (v.paused_until is null or v.paused_until <= t)
      and (select count(*) > 0 and not coalesce(bool_or(
          p.claimed_by is not null or p.available_at between t - interval '1 minute' and t + interval '1 minute'), false)
        from public.prebookings p
        where p.venue_id = s.venue_id and lower(p.user_email) = s.user_email and p.status = 'pending'
          and p.available_at <= t + interval '24 hours'))
$$;

revoke all on function public.warn_prebookings, public.save_session_v1, public.session_key_ids_v1, public.warn_about_logins_v1, public.warn_about_session_v1, public.lease_session_v1, public.claim_sessions_v1, public.upkeep_logins_due
  from public, anon, authenticated, service_role;
grant execute on function public.warn_prebookings, public.save_session_v1, public.session_key_ids_v1, public.warn_about_logins_v1, public.warn_about_session_v1, public.lease_session_v1, public.claim_sessions_v1, public.upkeep_logins_due
  to service_role;
notify pgrst, 'reload schema';
