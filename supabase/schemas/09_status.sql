-- The data of the operator's commands `status` and `doctor`. No function here changes or locks a row.

-- Returns the five figures for an operator, since an instant:
--   execution_ms       the duration of runs that had work, and the number of runs that were cut off before their end
--   success            the number of completed and of failed prebookings, and of failed ones per outcome
--   connection_errors  the number of calls in these runs that could not be sent, or got no clear answer
--   order              the number of neighbours in the queue of an opening, and of those that were called in the wrong order
--   lateness_ms        the time from the opening to the first byte, of rows that were added before the opening
create function public.prebooking_figures_v1(p_since timestamptz)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  with runs as (
    select closed_at, (summary ->> 'execution_time_ms')::numeric as ms,
           coalesce((summary #>> '{outcomes,not_sent}')::int, 0) + coalesce((summary #>> '{outcomes,unsure}')::int, 0) as errors
    from public.prebooking_runs
    where opened_at >= p_since and (closed_at is not null or opened_at < public.prebooking_clock() - interval '60 seconds')),
  -- A row that was called since then is settled since then, or still pending.
  recent as materialized (
    select venue_id, available_at, greatest(created_at, promoted_at) as created_at, id, status, outcome, fired_at, lateness_ms
    from (
      select * from public.prebookings where status = 'pending' and fired_at between p_since and 'infinity'
      union all
      select * from public.prebookings where settled_at between p_since and 'infinity') r),
  fired as (
    select lateness_ms, created_at < available_at as was_ahead,
           fired_at < lag(fired_at) over (partition by venue_id, available_at order by created_at, id) as overtook
    from recent where fired_at >= p_since)
  select jsonb_build_object(
    'execution_ms', (select jsonb_build_object('runs', count(*), 'cut_off', count(*) - count(closed_at),
      'p50', percentile_disc(0.5) within group (order by ms), 'p95', percentile_disc(0.95) within group (order by ms),
      'max', max(ms)) from runs),
    'success', (select jsonb_build_object('completed', count(*) filter (where status = 'completed'),
      'failed', count(*) filter (where status = 'failed'),
      'reasons', (select coalesce(jsonb_object_agg(f.outcome, f.n), '{}')
        from (select outcome, count(*) as n from recent where status = 'failed' group by outcome) f)) from recent),
    'connection_errors', (select coalesce(sum(errors), 0) from runs),
    'order', (select jsonb_build_object('pairs', count(overtook), 'overtaken', count(*) filter (where overtook)) from fired),
    'lateness_ms', (select jsonb_build_object('calls', count(*),
      'p50', percentile_disc(0.5) within group (order by lateness_ms), 'p95', percentile_disc(0.95) within group (order by lateness_ms),
      'max', max(lateness_ms)) from fired where was_ahead))
$$;

-- Returns one text per holder of the lock of all claims ('claims:pid'), or of a pending row that opens within the hour
-- ('row:pid:id'). It takes no locks, because a claim would skip the locked rows: xmax is the transaction that has locked or
-- changed a row last, and pg_locks contains the transactions that are not over.
create function public.prebooking_lock_holders() returns text[]
language sql volatile security invoker set search_path = '' as $$
  select array(
  select 'claims:' || l.pid from pg_catalog.pg_locks l
  where l.locktype = 'advisory' and l.classid = 7301 and l.objid = 1 and l.objsubid = 2 and l.granted
    and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  union all
  select 'row:' || l.pid || ':' || p.id
  from pg_catalog.pg_locks l join public.prebookings p on p.xmax = l.transactionid
  where l.locktype = 'transactionid' and l.granted and l.pid <> pg_backend_pid()
    and p.status = 'pending' and p.available_at <= public.prebooking_clock() + interval '1 hour')
$$;

-- Returns the locks that are held for more than a second, which is longer than any claim: {"rows", "row_pids", "claims_pid"}.
create function public.prebooking_locks() returns jsonb
language plpgsql volatile security invoker set search_path = '' as $$
declare v_held text[] := public.prebooking_lock_holders();
begin
  for n in 1 .. 10 loop
    exit when v_held = '{}';
    perform pg_sleep(0.1);
    v_held := array(select h from unnest(public.prebooking_lock_holders()) h where h = any (v_held));
  end loop;
  return (
    select jsonb_build_object(
      'rows', count(*) filter (where h like 'row:%'),
      'row_pids', coalesce(jsonb_agg(distinct split_part(h, ':', 2)::int) filter (where h like 'row:%'), '[]'),
      'claims_pid', max(split_part(h, ':', 2)::int) filter (where h like 'claims:%'))
    from unnest(v_held) h);
end $$;

-- Returns the health of the scheduler:
--   last_tick_at, sessions_at  the last calls of the two triggers
--   watchdog_at  the last report to the watchdog at HEARTBEAT_URL
--   rows       the numbers of pending rows. overdue: they could have been called for more than 105 s, in which every row should
--              end once faults stop. bad_data: the venue system cannot read their booking_data
--   overdue    the number of overdue rows per venue system, because a deployment may not be set up for a system
--   troubled   venues with pending rows that could not be reached, or blocked the function, without a clear answer since then
--   upkeep     the parts of upkeep that were due three minutes ago already, which is later than its trigger calls
--   logins     the number of stored logins that upkeep keeps alive or makes anew, because a class opens within a week
--   no_login   members without a login that is needed for a class that opens within a day
--   other_key  the number of rows whose session only another deployment can decrypt
--   locks      see prebooking_locks
--   messages   see prebooking_messages
--   claim_ms   the durations of the slowest claims of the last twenty runs within a day
create function public.prebooking_watch_v1()
returns jsonb language plpgsql volatile security invoker set search_path = '' as $$
declare t constant timestamptz := public.prebooking_clock();
begin
  return public.prebooking_watch(t, public.prebooking_upkeep_late(t)) || public.prebooking_logins(t);
end $$;

-- Returns the health without the logins. p_upkeep is its "upkeep".
create function public.prebooking_watch(t timestamptz, p_upkeep jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = '' as $$
begin
  return (select jsonb_build_object('now', t, 'last_tick_at', min(last_tick_at), 'sessions_at', min(sessions_at),
      'watchdog_at', min(watchdog_at))
      from public.prebooking_heartbeat)
    || jsonb_build_object(
    'troubled', (
      select coalesce(jsonb_agg(jsonb_build_object('venue', v.name, 'timezone', v.timezone, 'since', v.troubled_since)
        order by v.troubled_since), '[]')
      from public.venues v
      where v.enabled and v.troubled_since is not null and exists (
        select 1 from public.prebookings p where p.venue_id = v.id and p.status = 'pending' and p.available_at <= t + interval '1 day')),
    'upkeep', p_upkeep,
    'locks', public.prebooking_locks(),
    'claim_ms', (
      select jsonb_build_object('p50', percentile_disc(0.5) within group (order by claim_ms), 'max', max(claim_ms), 'runs', count(*))
      from (select claim_ms from public.prebooking_runs where opened_at > t - interval '1 day' and claim_ms is not null
        order by opened_at desc limit 20) c))
    || public.prebooking_waiting(t) || public.prebooking_messages(t);
end $$;

-- Returns the parts of upkeep that were due three minutes ago already, which is later than its trigger calls.
create function public.prebooking_upkeep_late(t timestamptz) returns jsonb
language plpgsql volatile security invoker set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(part.key order by part.key), '[]')
    from jsonb_each(public.prebooking_upkeep_parts(
      t - interval '3 minutes', array(select jsonb_object_keys(public.prebooking_systems())), null)) part
    where part.value = 'true');
end $$;

-- Returns "rows" and "overdue" of prebooking_watch_v1. It counts per venue first, so that the venues are joined to few rows. Two
-- instants are calculated once, because there may be many rows.
create function public.prebooking_waiting(t timestamptz) returns jsonb
language plpgsql volatile security invoker set search_path = '' set jit = off as $$
declare
  v_late      constant timestamptz := t - interval '105 seconds';
  v_next_try  constant timestamptz := t + interval '15 minutes';
begin
  return (
    with at_venues as (
      -- overdue: the row could have been called before v_late. The back-off of the row and the pause of its venue do not count.
      select p.venue_id, count(*) as pending,
        count(*) filter (where p.maybe_sent) as in_doubt,
        count(*) filter (where p.warning like 'bad_data:%') as bad_data,
        count(*) filter (where p.available_at <= t and not p.waits) as due,
        count(*) filter (where p.available_at < v_late and not p.waits and p.created_at < v_late
          and (p.promoted_at is null or p.promoted_at < v_late)
          and (p.retry_after is null or p.retry_after < v_late or p.retry_after > v_next_try)) as overdue
      from public.prebookings p where p.status = 'pending' group by p.venue_id),
    of_systems as materialized (
      select v.provider, sum(a.pending) as pending, sum(a.in_doubt) as in_doubt, sum(a.bad_data) as bad_data,
        sum(a.due) filter (where v.enabled and (v.paused_until is null or v.paused_until <= t)) as due,
        sum(a.due) filter (where not v.enabled or v.paused_until > t) as stopped,
        sum(a.overdue) filter (where v.enabled and (v.paused_until is null or v.paused_until < v_late)) as overdue
      from at_venues a join public.venues v on v.id = a.venue_id group by v.provider)
    select jsonb_build_object(
      'rows', (
        select jsonb_build_object(
          'pending', coalesce(sum(pending), 0),
          'due', coalesce(sum(due), 0),
          'overdue', coalesce(sum(overdue), 0),
          'stopped', coalesce(sum(stopped), 0),
          'in_doubt', coalesce(sum(in_doubt), 0),
          'bad_data', coalesce(sum(bad_data), 0))
        from of_systems),
      'overdue', (select coalesce(jsonb_object_agg(provider, overdue), '{}') from of_systems where overdue > 0)));
end $$;

create function public.prebooking_logins(t timestamptz) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  with needed as materialized (
    select p.venue_id, lower(p.user_email) as user_email, min(p.available_at) as opens,
           count(*) filter (where p.warning like 'other_key:%' and p.available_at <= t + interval '1 day') as other_key
    from public.prebookings p join public.venues v on v.id = p.venue_id
    where v.provider = any (public.prebooking_systems_with('logins')) and p.status = 'pending' and p.available_at <= t + interval '7 days' and p.expires_at > t
    group by p.venue_id, lower(p.user_email))
  select jsonb_build_object(
    'logins', count(s.sealed) filter (where s.expired_at is null or s.password is not null),
    'other_key', coalesce(sum(n.other_key), 0),
    'no_login', coalesce(jsonb_agg(jsonb_build_object('venue', v.name, 'timezone', v.timezone, 'user_email', n.user_email,
      'opens', n.opens) order by n.opens, n.user_email) filter (where s.sealed is null and n.opens <= t + interval '1 day'), '[]'))
  from needed n join public.venues v on v.id = n.venue_id
  left join public.member_sessions s on s.venue_id = n.venue_id and s.user_email = n.user_email
$$;

-- Returns the result of prebooking_watch_v1, with the next openings and the figures.
create function public.prebooking_status_v1()
returns jsonb language plpgsql volatile security invoker set search_path = '' as $$
declare t timestamptz := public.prebooking_clock();
begin
  return public.prebooking_watch_v1() || jsonb_build_object(
    'open_runs', (select coalesce(jsonb_agg(opened_at order by opened_at), '[]') from public.prebooking_runs where closed_at is null),
    'next_openings', (
      select coalesce(jsonb_agg(jsonb_build_object('venue', o.name, 'timezone', o.timezone, 'available_at', o.available_at,
        'prebookings', o.n) order by o.available_at, o.name), '[]')
      from (
        select v.name, v.timezone, p.available_at, p.n
        from (
          select venue_id, available_at, count(*) as n from public.prebookings
          where status = 'pending' and available_at > t group by venue_id, available_at) p
        join public.venues v on v.id = p.venue_id order by p.available_at, v.name limit 5) o),
    'day', public.prebooking_figures_v1(t - interval '24 hours'),
    'month', public.prebooking_figures_v1(t - interval '30 days'),
    'recent', (
      select coalesce(jsonb_agg(jsonb_build_object('fired_at', l.fired_at, 'lateness_ms', l.lateness_ms) order by l.fired_at), '[]')
      from (
        select fired_at, lateness_ms from (
          select * from public.prebookings where status = 'pending' and fired_at between t - interval '30 days' and 'infinity'
          union all
          select * from public.prebookings where settled_at between t - interval '30 days' and 'infinity') r
        where fired_at >= t - interval '30 days' and greatest(created_at, promoted_at) < available_at order by fired_at desc limit 60) l));
end $$;

-- Returns the caller's role, and whether it may execute each function: {"now", "role", "functions": {name: boolean}}.
-- Functions that do not exist are left out.
create function public.prebooking_doctor_v1(p_functions text[])
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select jsonb_build_object('now', public.prebooking_clock(), 'role', current_user,
    'functions', coalesce(jsonb_object_agg(f.proname, f.may), '{}'))
  from (
    select p.proname, bool_and(has_function_privilege(p.oid, 'execute')) as may
    from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname = any (p_functions) group by p.proname) f
$$;

revoke all on function public.prebooking_figures_v1, public.prebooking_lock_holders, public.prebooking_locks, public.prebooking_watch_v1, public.prebooking_watch,
  public.prebooking_upkeep_late, public.prebooking_waiting, public.prebooking_logins, public.prebooking_status_v1, public.prebooking_doctor_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_figures_v1, public.prebooking_lock_holders, public.prebooking_locks, public.prebooking_watch_v1, public.prebooking_watch,
  public.prebooking_upkeep_late, public.prebooking_waiting, public.prebooking_logins, public.prebooking_status_v1, public.prebooking_doctor_v1 to service_role;
notify pgrst, 'reload schema';
