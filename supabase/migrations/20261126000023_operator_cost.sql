-- The cost of the operator's commands `list`, `status` and `doctor`, and of the page, beside many due rows.

-- Rows that were called and are still pending, for the operator's figures.
create index prebookings_called on public.prebookings (fired_at) where status = 'pending' and fired_at is not null;

-- Returns the prebookings of a member (null: of all members), ordered by the start of their classes: pending ones, with a
-- warning if their login does not work, and those settled in the last p_settled_days days. A login that is not refreshed
-- works for half an hour; with a remembered password it is made anew before the opening. If there are more than p_limit rows,
-- it prefers pending ones, and then those nearest to now.
--
-- Its cost follows the rows that it returns, not the rows that are pending. Of all members, the nearest rows are the first ones
-- in each direction of an index. Of one member, they are found by an index per venue. Settled rows are read only if the pending
-- ones do not fill the list. The clock is read once, and the days are a range with two ends, so that Postgres uses the index,
-- also without statistics.
create or replace function public.list_prebookings_v1(p_user_email text, p_settled_days int, p_limit int)
returns jsonb language sql volatile security invoker set search_path = '' set jit = off set enable_sort = off as $$
  with clock as materialized (
    select public.prebooking_clock() as t, public.prebooking_member(p_user_email) as member, least(greatest(p_limit, 1), 1000) as rows),
  pending as materialized (
    (select p.* from public.prebookings p
      where p_user_email is null and p.status = 'pending' and p.expires_at >= (select t from clock) order by p.expires_at limit 1000)
    union all
    (select p.* from public.prebookings p
      where p_user_email is null and p.status = 'pending' and p.expires_at < (select t from clock) order by p.expires_at desc limit 1000)
    union all
    -- "offset 0" keeps the search per venue.
    select p.* from public.venues v cross join lateral (
      select * from public.prebookings
      where venue_id = v.id and lower(user_email) = (select member from clock) and status = 'pending' offset 0) p
    where p_user_email is not null),
  recent as (
    select * from pending
    union all
    select * from public.prebookings
    where settled_at between (select t from clock) - p_settled_days * interval '1 day' and 'infinity'
      and (select count(*) from pending) < (select rows from clock)
      and (p_user_email is null or lower(user_email) = (select member from clock))),
  chosen as materialized (
    select * from recent
    order by status <> 'pending', abs(extract(epoch from expires_at) - extract(epoch from (select t from clock)))
    limit (select rows from clock))
  select coalesce(jsonb_agg(x.row order by x.expires_at, x.created_at, x.id), '[]')
  from (
    select p.expires_at, p.created_at, p.id, jsonb_build_object(
      'id', p.id, 'venue', v.name, 'timezone', v.timezone, 'venue_enabled', v.enabled, 'user_email', p.user_email,
      'class_id', p.booking_data ->> 'class_id', 'class_name', p.booking_data ->> 'class_name',
      'available_at', p.available_at, 'expires_at', p.expires_at, 'status', p.status, 'outcome', p.outcome,
      'being_booked', p.status = 'pending' and (p.claimed_by is not null or p.maybe_sent),
      'warning', case when p.status = 'pending' then coalesce(p.warning, case
        when v.provider <> all (public.prebooking_systems_with('logins')) then null
        when s.sealed is null then 'session_expired: nobody has logged in: do so within the 7 days before booking opens.'
        when s.password is null and (s.expired_at is not null or s.refreshed_at <= (select t from clock) - interval '30 minutes')
          then 'session_expired: log in again within the 7 days before booking opens; from then on it is kept alive.' end) end,
      'class_unknown', p.class_unknown, 'class_warning', p.class_warning, 'error_message', p.error_message,
      'lateness_ms', p.lateness_ms, 'settled_at', p.settled_at, 'given_back_at', p.given_back_at,
      'place', l.place, 'place_since', l.since, 'position', l.position,
      'choice', c.number, 'first_choice', c.id, 'promoted', p.promoted_at is not null) as row
    from chosen p join public.venues v on v.id = p.venue_id
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email)
    left join public.prebooking_places l on l.prebooking_id = p.id
    -- The number of a later choice, and the first choice of its request.
    left join lateral (
      with recursive earlier as (
        select p.stands_after as id, 2 as number
        union all
        select e.stands_after, number + 1 from earlier join public.prebookings e on e.id = earlier.id
        where e.stands_after is not null)
      select id, number from earlier order by number desc limit 1) c on p.stands_after is not null) x
$$;

-- Returns the five figures for an operator, since an instant:
--   execution_ms       the duration of runs that had work, and the number of runs that were cut off before their end
--   success            the number of completed and of failed prebookings, and of failed ones per outcome
--   connection_errors  the number of calls in these runs that could not be sent, or got no clear answer
--   order              the number of neighbours in the queue of an opening, and of those that were called in the wrong order
--   lateness_ms        the time from the opening to the first byte, of rows that were added before the opening
create or replace function public.prebooking_figures_v1(p_since timestamptz)
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

-- Returns "rows" and "overdue" of prebooking_watch_v1. It counts per venue first, so that the venues are joined to few rows. Two
-- instants are calculated once, because there may be many rows.
create or replace function public.prebooking_waiting(t timestamptz) returns jsonb
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

-- Returns the result of prebooking_watch_v1, with the next openings and the figures.
create or replace function public.prebooking_status_v1()
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

-- Returns whether upkeep has a session to refresh, or an automatic login to make. p_keys null: of any key. Sessions that are
-- neither old nor with a remembered password are left out first, because the functions below cost more per session.
create or replace function public.upkeep_logins_due(t timestamptz, p_providers text[], p_keys text[])
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

notify pgrst, 'reload schema';
