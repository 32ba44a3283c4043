-- Members' sessions: stored encrypted, refreshed by one invocation at a time, and ended when the venue refuses them.
-- The database cannot decrypt them. Every write states the version that it replaces, and returns whether it did.
--
-- A session lives half an hour. It is kept alive for a week before an opening; with a remembered password it is not, and a new
-- login is made shortly before each opening. Both are done by upkeep, at most one attempt at a time per session.

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

-- Removes a member's warnings after a login, and the back-off of rows that were put off because they had no login.
create function public.prebooking_logged_in(p_venue_id uuid, p_email text)
returns void language plpgsql volatile security invoker set search_path = '' as $$
begin
  perform public.warn_prebookings(p_venue_id, p_email, null);
  update public.prebookings set retry_after = null, setbacks = 0
  where id in (
    select id from public.prebookings
    where venue_id = p_venue_id and lower(user_email) = p_email and status = 'pending' and claimed_by is null
      and retry_after > public.prebooking_clock() and not maybe_sent and early_since is null
    for no key update skip locked);
end $$;

-- Stores a session. p_version is the version that was refreshed; null means a member's new login, which replaces any version,
-- and the password: p_password is the encrypted one to remember, null removes a remembered one. A refresh leaves it. The key
-- ids are those of the keys that encrypted them. Returns the new version, also in a repeated call; null if the stored session
-- has another version, and nothing was changed.
create function public.save_session_v1(p_venue_id uuid, p_user_email text, p_sealed text, p_version int, p_key_id text default null,
  p_password text default null, p_password_key_id text default null)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_email text := public.prebooking_member(p_user_email); v_version int;
begin
  if p_version is null then
    insert into public.member_sessions as s (venue_id, user_email, sealed, key_id, refreshed_at, password, password_key_id)
    values (p_venue_id, v_email, p_sealed, p_key_id, t, p_password, p_password_key_id)
    on conflict (venue_id, user_email) do update
    set sealed = excluded.sealed, key_id = excluded.key_id, version = s.version + (s.sealed <> excluded.sealed)::int,
        password = excluded.password, password_key_id = excluded.password_key_id,
        refreshed_at = t, expired_at = null, leased_by = null, leased_until = null
    returning version into v_version;
    perform public.prebooking_logged_in(p_venue_id, v_email);
  else
    update public.member_sessions
    set sealed = p_sealed, key_id = p_key_id, version = version + 1, refreshed_at = t, leased_by = null, leased_until = null
    where venue_id = p_venue_id and user_email = v_email and version = p_version and expired_at is null;
    select version into v_version from public.member_sessions
    where venue_id = p_venue_id and user_email = v_email and version = p_version + 1 and sealed = p_sealed;
    if v_version is not null then
      perform public.warn_prebookings(p_venue_id, v_email, null);
    end if;
  end if;
  return v_version;
end $$;

-- Returns the ids of the keys that encrypted the stored sessions and passwords.
create function public.session_key_ids_v1()
returns jsonb language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(distinct k.id), '[]')
  from public.member_sessions s cross join lateral (values (s.key_id), (s.password_key_id)) k (id) where k.id is not null;
$$;

-- Returns whether no attempt is running: nobody has leased the session, or the lease is over. No lease is longer than five
-- minutes; a longer one was written while the database's clock was ahead.
create function public.session_is_free(s public.member_sessions, t timestamptz)
returns boolean language sql stable security invoker set search_path = '' as $$
  select s.leased_until is null or s.leased_until <= t or s.leased_until > t + interval '5 minutes'
$$;

-- Returns whether a session should be refreshed now: it is p_age old, the venue has not refused it, one of p_keys (null: any
-- key) decrypts it, and no password is remembered, which makes a new session when it is needed. The age of a session from the
-- future is unknown: it was stored while the database's clock was ahead.
create function public.session_is_old(s public.member_sessions, t timestamptz, p_age interval, p_keys text[])
returns boolean language sql stable security invoker set search_path = '' as $$
  select s.password is null and s.expired_at is null and public.session_is_free(s, t)
    and (s.refreshed_at <= t - p_age or s.refreshed_at > t + interval '1 minute')
    and (p_keys is null or s.key_id is null or s.key_id = any (p_keys))
$$;

-- Returns whether a session can be used at an opening: the venue has not refused it, one of p_keys decrypts it, and it lives
-- until then. The age of a session from the future is unknown, see above.
create function public.session_lives(s public.member_sessions, t timestamptz, p_opens timestamptz, p_keys text[])
returns boolean language sql stable security invoker set search_path = '' as $$
  select s.expired_at is null and s.refreshed_at > p_opens - interval '30 minutes' and s.refreshed_at <= t + interval '1 minute'
    and (p_keys is null or s.key_id is null or s.key_id = any (p_keys))
$$;

-- Returns whether an automatic login for this opening may be made at t: a password is remembered that one of p_keys (null: any
-- key) decrypts, the session does not live until the opening, no login was tried for this opening or a later one, and fewer
-- than three on this UTC day.
create function public.login_may_be_made(s public.member_sessions, t timestamptz, p_opens timestamptz, p_keys text[])
returns boolean language sql stable security invoker set search_path = '' as $$
  select s.password is not null and (p_keys is null or s.password_key_id = any (p_keys))
    and not public.session_lives(s, t, p_opens, p_keys) and public.session_is_free(s, t)
    and (s.login_tried_for is null or s.login_tried_for < p_opens)
    and (s.logins_that_day < 3 or (s.login_tried_at at time zone 'UTC')::date < (t at time zone 'UTC')::date)
$$;

-- Returns the members of these venue systems with a pending prebooking that is open or opens within a week:
--   opens      the earliest of these openings
--   login_for  the latest one that is 10 to 25 minutes ahead: a session that begins now lives until then
-- Rows that wait count too: a later choice may be promoted, and a class may be found, after the last minute for a login.
-- Members who are being booked now are left out, because a refresh ends the old session at once; so are venues that are not
-- called now.
create function public.prebooking_login_needs(t timestamptz, p_providers text[])
returns table (venue_id uuid, user_email text, opens timestamptz, login_for timestamptz)
language sql stable security invoker set search_path = '' as $$
  select p.venue_id, lower(p.user_email), min(p.available_at),
    max(p.available_at) filter (where p.available_at between t + interval '10 minutes' and t + interval '25 minutes')
  -- By venue, so that no row of another venue system is read.
  from public.venues v cross join lateral (
    select * from public.prebookings where venue_id = v.id and status = 'pending' and available_at <= t + interval '7 days' offset 0) p
  where v.provider = any (p_providers) and v.provider = any (public.prebooking_systems_with('logins'))
    and v.enabled and (v.paused_until is null or v.paused_until <= t)
  group by p.venue_id, lower(p.user_email)
  having not bool_or(p.claimed_by is not null or p.available_at between t - interval '1 minute' and t + interval '1 minute')
$$;

-- Returns whether upkeep has a session to refresh, or an automatic login to make. p_keys null: of any key. Sessions that are
-- neither old nor with a remembered password are left out first, because the functions below cost more per session.
create function public.upkeep_logins_due(t timestamptz, p_providers text[], p_keys text[])
returns boolean language plpgsql stable security invoker set search_path = '' set jit = off as $$
declare
  v_age    constant interval    := '25 minutes';
  v_old    constant timestamptz := t - v_age;
  v_ahead  constant timestamptz := t + interval '1 minute';
begin
  if not exists (
      select from public.member_sessions s
      where s.password is not null or (s.expired_at is null and (s.refreshed_at <= v_old or s.refreshed_at > v_ahead))) then
    return false;
  end if;
  return exists (
    select from public.prebooking_login_needs(t, p_providers) n join public.member_sessions s using (venue_id, user_email)
      join public.venues v on v.id = s.venue_id
    where (s.password is not null or (s.expired_at is null and (s.refreshed_at <= v_old or s.refreshed_at > v_ahead)))
      and (public.session_is_old(s, t, v_age, p_keys)
        or (public.login_may_be_made(s, t, n.login_for, p_keys) and (v.logins_stopped_until is null or v.logins_stopped_until <= t))));
end $$;

-- Stores a warning on prebookings that open within a week without a usable login: none is stored, the venue has refused it,
-- none of p_keys decrypts it, or an automatic login has failed or can no longer be made. Removes warnings that are no longer
-- true. It waits for no lock, and skips rows that are held. Returns the number of prebookings without a usable login.
create function public.warn_about_logins_v1(p_providers text[], p_keys text[])
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_lacking int;
begin
  with wanted as materialized (
    select p.id, p.warning as old, case
      when s.venue_id is null then 'no_login: there is no login for this member. The member has to log in before booking opens.'
      when s.password is not null then case
        when public.session_lives(s, t, p.available_at, p_keys) or not public.session_is_free(s, t) then null
        when s.password_key_id <> all (p_keys) then 'other_key: the password was sealed with another key than this deployment has.'
        -- A login that could still be made at its last minute.
        when t <= p.available_at - interval '10 minutes'
          and (v.logins_stopped_until is null or v.logins_stopped_until <= p.available_at - interval '10 minutes')
          and public.login_may_be_made(s, p.available_at - interval '10 minutes', p.available_at, p_keys) then null
        else 'login_failed: there was no automatic login. The member has to log in before booking opens.' end
      when s.expired_at is not null then 'session_expired: the venue asks the member to log in again.'
      when s.key_id <> all (p_keys) then 'other_key: the login was sealed with another key than this deployment has.' end as warning
    from public.prebookings p join public.venues v on v.id = p.venue_id and v.provider = any (p_providers)
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email)
    where p.status = 'pending' and p.claimed_by is null and p.available_at between t + interval '1 minute' and t + interval '7 days'),
  free as materialized (
    select p.id, w.warning from public.prebookings p join wanted w on w.id = p.id
    where p.status = 'pending' and p.claimed_by is null and w.warning is distinct from w.old and case
      when w.warning is null then w.old ~ '^(no_login|other_key|login_failed):'
      else coalesce(w.old, '') !~ '^(bad_data|wrong_password):' end
    for no key update of p skip locked),
  warned as (
    update public.prebookings p set warning = free.warning from free where p.id = free.id returning p.id)
  select count(*) filter (where warning is not null) into v_lacking from wanted;
  return v_lacking;
end $$;

-- Stores a warning about this version of a session on its member's prebookings; p_over also ends the session, because the
-- venue has refused it. Returns false if there is a newer version, and changes nothing then. With a remembered password there
-- is no warning, because the member has nothing to do: the next opening gets a new login.
create function public.warn_about_session_v1(p_venue_id uuid, p_user_email text, p_version int, p_over boolean, p_warning text)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_remembered boolean;
begin
  update public.member_sessions
  set expired_at = case when p_over then coalesce(expired_at, t) else expired_at end
  where venue_id = p_venue_id and user_email = public.prebooking_member(p_user_email) and version = p_version
  returning password is not null into v_remembered;
  if v_remembered is null then
    return false;
  end if;
  if not v_remembered then
    perform public.warn_prebookings(p_venue_id, public.prebooking_member(p_user_email), p_warning);
  end if;
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
    and (public.session_is_free(member_sessions, t) or leased_by = p_instance);
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
-- a week. Sessions whose last attempt has failed come after the others, the oldest attempt first, and the venues take turns, so
-- that one that does not answer delays no other; at each of them the earliest opening is first. A stored session ends its
-- lease, so a lease that is over shows a failed attempt. Sessions that none of p_keys decrypts (null: any key) are left to
-- other deployments.
-- Sessions that are needed later expire, because a refresh every half hour for weeks would be impolite to the venue.
create function public.claim_sessions_v1(
  p_instance uuid, p_providers text[], p_age_ms int, p_limit int, p_keys text[] default null)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_sessions jsonb;
begin
  with due as materialized (
    select s.venue_id, s.user_email, n.opens, w.failed_at,
      row_number() over (partition by s.venue_id, w.failed_at order by n.opens, s.user_email) as position
    from public.prebooking_login_needs(t, p_providers) n join public.member_sessions s using (venue_id, user_email)
      cross join lateral (select case when s.leased_until <= t then s.leased_until end as failed_at) w
    where public.session_is_old(s, t, p_age_ms * interval '1 millisecond', p_keys)),
  free as materialized (
    select s.venue_id, s.user_email, d.opens
    from due d join public.member_sessions s using (venue_id, user_email)
    where public.session_is_old(s, t, p_age_ms * interval '1 millisecond', p_keys)
    order by d.failed_at nulls first, d.position, d.opens, s.venue_id, s.user_email limit p_limit
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

-- Leases sessions for an automatic login, for half a minute, and counts the attempt before it is made: it is the only one for
-- this opening, also if the caller is killed now. The venues take turns, so that one that does not answer delays no other; at
-- each of them the earliest opening is first. A repeated call also returns the logins that the caller has leased and not
-- ended; the caller makes each of them once.
create function public.claim_logins_v1(p_instance uuid, p_providers text[], p_keys text[], p_limit int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock();
begin
  with due as materialized (
    select s.venue_id, s.user_email, n.login_for,
      row_number() over (partition by s.venue_id order by n.login_for, s.user_email) as position
    from public.prebooking_login_needs(t, p_providers) n join public.member_sessions s using (venue_id, user_email)
      join public.venues v on v.id = s.venue_id
    where public.login_may_be_made(s, t, n.login_for, p_keys) and (v.logins_stopped_until is null or v.logins_stopped_until <= t)),
  free as materialized (
    select s.venue_id, s.user_email, d.login_for
    from due d join public.member_sessions s using (venue_id, user_email)
    where public.login_may_be_made(s, t, d.login_for, p_keys)
    order by d.position, d.login_for, s.venue_id, s.user_email limit p_limit
    for no key update of s skip locked)
  update public.member_sessions s
  set leased_by = p_instance, leased_until = t + interval '30 seconds', login_tried_at = t, login_tried_for = f.login_for,
      logins_that_day = 1 + case when (s.login_tried_at at time zone 'UTC')::date = (t at time zone 'UTC')::date
        then s.logins_that_day else 0 end
  from free f where s.venue_id = f.venue_id and s.user_email = f.user_email;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('user_email', s.user_email, 'version', s.version, 'password', s.password,
        'password_key_id', s.password_key_id,
        'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
          'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent))
      order by s.login_tried_for, s.venue_id, s.user_email), '[]')
    from public.member_sessions s join public.venues v on v.id = s.venue_id
    -- Of the leases of this caller, those for a login; lease_session_v1 and claim_sessions_v1 lease for a refresh.
    where s.leased_by = p_instance and s.leased_until > t and s.login_tried_at = s.leased_until - interval '30 seconds'
      and s.password is not null);
end $$;

-- Stores the session of an automatic login in place of p_version, and the password if it was encrypted again (null: unchanged).
-- Returns the new version, also in a repeated call; null if the member has logged in or out meanwhile, and nothing was changed.
create function public.save_login_v1(p_venue_id uuid, p_user_email text, p_version int, p_sealed text, p_key_id text,
  p_password text default null, p_password_key_id text default null)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_email text := public.prebooking_member(p_user_email); v_version int;
begin
  update public.member_sessions
  set sealed = p_sealed, key_id = p_key_id, version = version + 1, refreshed_at = t, expired_at = null,
      password = coalesce(p_password, password), password_key_id = coalesce(p_password_key_id, password_key_id),
      leased_by = null, leased_until = null
  where venue_id = p_venue_id and user_email = v_email and version = p_version;
  select version into v_version from public.member_sessions
  where venue_id = p_venue_id and user_email = v_email and version = p_version + 1 and sealed = p_sealed;
  if v_version is not null then
    perform public.prebooking_logged_in(p_venue_id, v_email);
  end if;
  return v_version;
end $$;

-- Ends an automatic login without a session. p_why is the reason:
--   wrong_password  the password is removed, a session that is half an hour old ends, so that it is not refreshed instead, and
--                   the member's prebookings get a warning
--   stopped         too many attempts, or the venue blocks us: no automatic login at this venue for an hour
--   failed          any other; warn_about_logins_v1 writes the warning
-- p_password is the encrypted password that was refused. It is removed also if its session was refreshed meanwhile.
-- Returns false if the member has logged in or out meanwhile; then only a stop is stored.
create function public.end_login_v1(
  p_venue_id uuid, p_user_email text, p_version int, p_why text, p_password text default null)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_email text := public.prebooking_member(p_user_email);
begin
  if p_why = 'stopped' then
    update public.venues set logins_stopped_until = greatest(logins_stopped_until, t + interval '1 hour') where id = p_venue_id;
  end if;
  update public.member_sessions
  set leased_by = case when version <> p_version then leased_by end,
      leased_until = case when version <> p_version then leased_until end,
      password = case when p_why <> 'wrong_password' then password end,
      password_key_id = case when p_why <> 'wrong_password' then password_key_id end,
      expired_at = case when p_why = 'wrong_password' and version = p_version and refreshed_at <= t - interval '30 minutes' then coalesce(expired_at, t)
        else expired_at end
  where venue_id = p_venue_id and user_email = v_email
    and (version = p_version or (p_why = 'wrong_password' and password = p_password));
  if not found then
    return false;
  end if;
  if p_why = 'wrong_password' then
    perform public.warn_prebookings(p_venue_id, v_email,
      'wrong_password: the venue refused the remembered password, which is removed now. The member has to log in again.');
  end if;
  return true;
end $$;

grant update (logins_stopped_until) on public.venues to service_role;
revoke all on function public.warn_prebookings, public.prebooking_logged_in, public.save_session_v1, public.session_key_ids_v1,
  public.session_is_free, public.session_is_old, public.session_lives, public.login_may_be_made, public.prebooking_login_needs,
  public.upkeep_logins_due, public.warn_about_logins_v1, public.warn_about_session_v1, public.lease_session_v1,
  public.claim_sessions_v1, public.claim_logins_v1, public.save_login_v1, public.end_login_v1
  from public, anon, authenticated, service_role;
grant execute on function public.warn_prebookings, public.prebooking_logged_in, public.save_session_v1, public.session_key_ids_v1,
  public.session_is_free, public.session_is_old, public.session_lives, public.login_may_be_made, public.prebooking_login_needs,
  public.upkeep_logins_due, public.warn_about_logins_v1, public.warn_about_session_v1, public.lease_session_v1,
  public.claim_sessions_v1, public.claim_logins_v1, public.save_login_v1, public.end_login_v1
  to service_role;
notify pgrst, 'reload schema';
