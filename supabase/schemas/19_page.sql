-- The data of the operator's page (GET /api/status). No function here but page_fold changes a row.
--
-- The page counts the settled prebookings of a month, and shows the calls of a week. page_fold adds them up, in batches, after
-- they are settled; the page reads the sums, and the rows that are not added up yet. A venue that is removed stays in the sums.
--
-- Members' addresses are masked here. One unreadable row, for instance with an instant that an older version stored, breaks
-- no section of the page, and an error in one section breaks no other one.

-- Up to where settled prebookings are added up. A settled_at is older than its commit, so a row can appear behind rows that
-- were added up already. So the marked instant is added up once every transaction has ended that could have taken an earlier
-- one: marked_xid is the first transaction id that was not assigned yet at the mark.
create table public.page_progress (
  only_one        boolean primary key default true check (only_one),
  folded_until    public.prebooking_instant,                                -- null: nothing is added up yet
  marked_until    public.prebooking_instant,
  marked_xid      xid8,
  salt            uuid not null default gen_random_uuid(),                  -- of the hashes that page_member shows
  constraint mark_is_whole check (num_nulls(marked_until, marked_xid) in (0, 2)));
insert into public.page_progress default values;

-- Settled prebookings per day of the clock of UTC.
create table public.page_days (
  day             date not null,
  status          text not null,
  outcome         text not null,                                            -- empty: cancelled
  n               int not null,
  primary key (day, status, outcome));

-- First calls at openings, per day of their call and lateness. The lateness has two digits, so that a day has few rows.
create table public.page_lateness (
  day             date not null,
  ms              bigint not null,
  n               int not null,
  primary key (day, ms));

-- A part of these calls, for the plot. Of each day it has the 200 latest ones, and 300 others, evenly from its hours.
create table public.page_calls (
  prebooking_id   uuid primary key,
  venue_id        uuid not null,
  fired_at        public.prebooking_instant not null,
  lateness_ms     bigint not null,
  sample          int not null);                                            -- a hash, in whose order calls are taken
create index page_calls_fired on public.page_calls (fired_at);

-- The times without a call of the scheduler's trigger, of more than 90 seconds.
create table public.heartbeat_gaps (
  from_at         public.prebooking_instant primary key,
  to_at           public.prebooking_instant not null);

-- Stores a gap when the trigger calls again. A failure here is written to the database's log, and does not prevent the claim.
create function public.heartbeat_note_gap() returns trigger
language plpgsql set search_path = '' set lock_timeout = '100ms' as $$
begin
  delete from public.heartbeat_gaps where to_at < new.last_tick_at - interval '30 days';
  insert into public.heartbeat_gaps (from_at, to_at) values (old.last_tick_at, new.last_tick_at) on conflict do nothing;
  return null;
exception when others then
  raise warning 'a gap of the heartbeat is not stored: %', sqlstate;
  return null;
end $$;
create trigger heartbeat_gap after update of last_tick_at on public.prebooking_heartbeat
  for each row when (new.last_tick_at > old.last_tick_at + interval '90 seconds')
  execute function public.heartbeat_note_gap();

-- Returns a member's address so that it cannot be read: two letters, and four digits of its hash. The hash has a secret of this
-- database in it, so that a picture of the page does not confirm an address that somebody guesses.
create function public.page_member(p_user_email text) returns text
language sql stable security invoker set search_path = '' as $$
  select case when p_user_email = 'forgotten' then p_user_email else
    left(split_part(p_user_email, '@', 1), 2) || chr(8230) || '#'
      || left(encode(sha256(convert_to((select salt from public.page_progress) || lower(p_user_email), 'UTF8')), 'hex'), 4) end
$$;

-- Returns an instant; null if it is one that the page cannot read.
create function public.page_instant(p_at timestamptz) returns timestamptz
language sql immutable security invoker set search_path = '' as $$
  select case when p_at >= timestamptz '2000-01-01 00:00:00+00' and p_at < timestamptz '2200-01-01 00:00:00+00' then p_at end
$$;

-- Returns a lateness with two digits.
create function public.page_digits(p_ms bigint) returns bigint
language sql immutable security invoker set search_path = '' as $$
  select case
    when p_ms < 100 then greatest(p_ms, -100)
    when p_ms < 1000 then (p_ms + 5) / 10 * 10
    when p_ms < 10000 then (p_ms + 50) / 100 * 100
    when p_ms < 100000 then (p_ms + 500) / 1000 * 1000
    when p_ms < 1000000 then (p_ms + 5000) / 10000 * 10000
    else (p_ms + 50000) / 100000 * 100000 end
$$;

-- Returns the newest of the rows that were settled after p_from, until p_to. is_call: its first call was made at an opening,
-- because the row was added before it.
create function public.page_settled(p_from timestamptz, p_to timestamptz, p_limit int)
returns table (id uuid, venue_id uuid, day date, status text, outcome text, fired_at timestamptz, hour timestamptz, lateness_ms bigint, is_call boolean)
language sql stable security invoker set search_path = '' as $$
  select p.id, p.venue_id, (p.settled_at at time zone 'UTC')::date, p.status, coalesce(p.outcome, ''), p.fired_at,
    date_trunc('hour', p.fired_at, 'UTC'), p.lateness_ms,
    coalesce(greatest(p.created_at, p.promoted_at) < p.available_at and p.lateness_ms is not null
      and p.fired_at >= timestamptz '2000-01-01 00:00:00+00' and p.fired_at < timestamptz '2200-01-01 00:00:00+00', false)
  from public.prebookings p where p.settled_at > p_from and p.settled_at <= p_to
  order by p.settled_at desc limit p_limit
$$;

-- Adds up settled prebookings: batches of p_rows, for about half a second. Returns how many batches it added up. Calls at the
-- same time do not wait for each other: the second one adds up nothing. Everything happens in one transaction, so a batch is
-- added up once. The sums are made anew from the rows if they go beyond the clock, because it was set back, or if they come
-- from a dump without its page_progress.
create function public.page_fold(t timestamptz, p_rows int default 5000) returns int
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' set jit = off as $$
declare
  v        public.page_progress;
  v_from   timestamptz;
  v_to     timestamptz;
  v_first  date;
  n        int := 0;
  v_until  constant timestamptz := clock_timestamp() + interval '500 milliseconds';
begin
  -- Nothing is locked if there is nothing to do. Two limits, so that Postgres uses the index also without statistics.
  if not exists (
      select from public.prebookings
      where settled_at > coalesce((select folded_until from public.page_progress where folded_until <= t), t - interval '31 days')
        and settled_at <= t - interval '10 seconds') then
    return 0;
  end if;
  select * into v from public.page_progress for no key update skip locked;
  if not found then
    return 0;
  end if;
  if v.folded_until is null or v.folded_until > t then
    delete from public.page_days where day is not null;
    delete from public.page_lateness where day is not null;
    delete from public.page_calls where prebooking_id is not null;
    v.folded_until := null;
  end if;
  -- A mark of another server, from a dump, or of a clock that was set back.
  if v.marked_xid > pg_snapshot_xmax(pg_current_snapshot()) or v.marked_until > t then
    v.marked_until := null;
    v.marked_xid := null;
  end if;
  v_from := coalesce(v.folded_until, t - interval '31 days');
  while v_from < v.marked_until and pg_snapshot_xmin(pg_current_snapshot()) >= v.marked_xid and clock_timestamp() < v_until loop
    v_to := coalesce((
      select settled_at from public.prebookings where settled_at > v_from and settled_at <= v.marked_until
      order by settled_at offset greatest(p_rows, 1) - 1 limit 1), v.marked_until);
    with settled as materialized (
      select * from public.page_settled(v_from, v_to, 2147483647)),
    days as (
      insert into public.page_days as d (day, status, outcome, n)
      select day, status, outcome, count(*) from settled group by 1, 2, 3
      on conflict (day, status, outcome) do update set n = d.n + excluded.n),
    lateness as (
      insert into public.page_lateness as l (day, ms, n)
      select c.day, public.page_digits(c.lateness_ms), sum(c.n) from (
        select (fired_at at time zone 'UTC')::date as day, lateness_ms, count(*) as n from settled where is_call group by 1, 2) c group by 1, 2
      on conflict (day, ms) do update set n = l.n + excluded.n),
    calls as (
      -- Only those that page_thin_out could leave there.
      insert into public.page_calls (prebooking_id, venue_id, fired_at, lateness_ms, sample)
      select c.id, c.venue_id, c.fired_at, c.lateness_ms, c.sample from (
        select x.*, row_number() over (partition by x.hour order by x.lateness_ms desc, x.id) as by_lateness,
          row_number() over (partition by x.hour order by x.sample, x.id) as of_hour
        from (select s.*, hashtext(s.id::text) as sample from settled s where s.is_call) x) c
      where c.by_lateness <= 200 or c.of_hour <= 300
      on conflict do nothing returning fired_at)
    select (min(fired_at) at time zone 'UTC')::date into v_first from calls;
    perform public.page_thin_out(v_first);
    v_from := v_to;
    n := n + 1;
  end loop;
  if v_from >= v.marked_until or v.marked_until is null then
    v.marked_until := greatest(t - interval '10 seconds', v_from);
    v.marked_xid := pg_snapshot_xmax(pg_current_snapshot());
  end if;
  delete from public.page_days where day < (t at time zone 'UTC')::date - 31;
  delete from public.page_lateness where day < (t at time zone 'UTC')::date - 8;
  delete from public.page_calls where fired_at < t - interval '8 days';
  update public.page_progress set folded_until = v_from, marked_until = v.marked_until, marked_xid = v.marked_xid where only_one;
  return n;
end $$;

-- Returns the position of calls among those of their day: the latest first, and evenly from the hours.
create function public.page_ranked(p_from timestamptz)
returns table (prebooking_id uuid, by_lateness bigint, by_hour bigint)
language sql stable security invoker set search_path = '' as $$
  select c.prebooking_id, row_number() over (partition by c.day order by c.lateness_ms desc, c.prebooking_id),
    row_number() over (partition by c.day order by c.of_hour, c.prebooking_id)
  from (
    select prebooking_id, lateness_ms, (fired_at at time zone 'UTC')::date as day,
      row_number() over (partition by date_trunc('hour', fired_at, 'UTC') order by sample, prebooking_id) as of_hour
    from public.page_calls where fired_at >= p_from) c
$$;

-- Deletes calls of this day and later ones that the plot does not need.
create function public.page_thin_out(p_day date) returns void
language sql volatile security invoker set search_path = '' as $$
  delete from public.page_calls where prebooking_id in (
    select prebooking_id from public.page_ranked(p_day::timestamp at time zone 'UTC') where by_lateness > 200 and by_hour > 300)
$$;

-- Returns the settled rows that are not added up yet, at most the newest 5000.
create function public.page_tail(t timestamptz)
returns table (id uuid, venue_id uuid, day date, status text, outcome text, fired_at timestamptz, hour timestamptz, lateness_ms bigint, is_call boolean)
language sql stable security invoker set search_path = '' as $$
  select * from public.page_settled(
    coalesce((select folded_until from public.page_progress), t - interval '31 days'), 'infinity', 5000)
$$;

-- The sections of the page. Each returns what the same part of the answer contains.

-- Returns the outcomes per day of the last 30 days, and the failures by outcome: {"outcomes", "failures", "backlog"}. backlog:
-- more rows are not added up yet than the page reads, so that the counts are too low.
create function public.page_outcomes(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  with today as (select (t at time zone 'UTC')::date as day),
  tail as materialized (select day, status, outcome, count(*) as n from public.page_tail(t) group by 1, 2, 3),
  counts as materialized (
    select x.day, x.status, x.outcome, sum(x.n)::bigint as n from (
      select day, status, outcome, n from public.page_days
      union all
      select day, status, outcome, n from tail) x
    where x.day between (select day - 29 from today) and (select day from today)
    group by 1, 2, 3)
  select jsonb_build_object(
    'backlog', (select coalesce(sum(n), 0) >= 5000 from tail),
    'outcomes', (
      select jsonb_agg(jsonb_build_object('day', d.day, 'completed', d.completed, 'failed', d.failed, 'cancelled', d.cancelled) order by d.day)
      from (
        select days.day::date as day,
          coalesce(sum(c.n) filter (where c.status = 'completed'), 0) as completed,
          coalesce(sum(c.n) filter (where c.status = 'failed'), 0) as failed,
          coalesce(sum(c.n) filter (where c.status = 'cancelled'), 0) as cancelled
        from today cross join generate_series(today.day - 29, today.day, interval '1 day') days(day)
        left join counts c on c.day = days.day::date group by 1) d),
    'failures', (
      select coalesce(jsonb_agg(jsonb_build_object('outcome', f.outcome, 'count', f.n) order by f.n desc, f.outcome), '[]')
      from (select outcome, sum(n) as n from counts where status = 'failed' group by 1) f))
$$;

-- Returns the lateness of the last seven days, on the clock of UTC: {"venues", "dots", "calls", "shown", "p50", "p95", "max"}. The 200 latest calls
-- are shown, and others evenly from the hours. A dot's venue is an index of "venues".
create function public.page_calls_of_a_week(t timestamptz) returns json
language sql stable security invoker set search_path = '' as $$
  with first as materialized (select (t at time zone 'UTC')::date - 6 as day, ((t at time zone 'UTC')::date - 6)::timestamp at time zone 'UTC' as at),
  tail as materialized (
    select id, venue_id, fired_at, hour, lateness_ms from public.page_tail(t) where is_call and fired_at >= (select at from first)),
  counts as materialized (
    select x.ms, sum(x.n) as n from (
      select ms, n from public.page_lateness where day >= (select day from first)
      union all
      select public.page_digits(l.lateness_ms), l.n from (select lateness_ms, count(*)::int as n from tail group by 1) l) x
    group by 1),
  so_far as (
    select ms, sum(n) over (order by ms) as n, sum(n) over () as calls from counts),
  calls as (
    select prebooking_id as id, venue_id, fired_at, date_trunc('hour', fired_at, 'UTC') as hour, lateness_ms, sample
    from public.page_calls where fired_at >= (select at from first)
    union all
    select id, venue_id, fired_at, hour, lateness_ms, hashtext(id::text) from tail),
  ranked as (
    select c.*, row_number() over (order by c.lateness_ms desc, c.id) as by_lateness,
      row_number() over (partition by c.hour order by c.sample, c.id) as of_hour
    from calls c),
  shown as materialized (
    select r.id, r.venue_id, r.fired_at, r.lateness_ms from ranked r
    order by r.by_lateness > 200, r.of_hour, r.id limit 1200),
  places as (
    select s.venue_id, row_number() over (order by count(*) desc, s.venue_id) as number from shown s group by s.venue_id),
  names as materialized (
    select p.venue_id, least(p.number, 100) - 1 as number,
      case when p.number < 100 then left(coalesce(v.name, 'removed'), 40) else 'others' end as name
    from places p left join public.venues v on v.id = p.venue_id)
  select json_build_object(
    'venues', (select coalesce(json_agg(n.name order by n.number), '[]') from (select distinct number, name from names) n),
    'dots', (
      select coalesce(json_agg(json_build_array(s.id, date_trunc('milliseconds', s.fired_at), s.lateness_ms, n.number) order by s.fired_at, s.id), '[]')
      from shown s join names n on n.venue_id = s.venue_id),
    'calls', (select coalesce(max(calls), 0) from so_far),
    'shown', (select count(*) from shown),
    'p50', (select min(ms) from so_far where n >= calls * 0.5),
    'p95', (select min(ms) from so_far where n >= calls * 0.95),
    'max', (select max(lateness_ms) from shown))
$$;

-- Returns the openings of the next 24 hours, at most 50, with the prebookings that would fail now, and why. The codes are those
-- of warnings (with the text of one of them), or "paused" (its venue is not called at the opening), "no_login" and
-- "session_expired" (the login does not work), and "class_unknown" (its class is not in the venue's timetable yet). A later
-- choice that is not called is left out. Of the rows it has those with a problem first, at most 20 of an opening and 200 in all.
create function public.page_openings(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  with venues as materialized (
    select v.id, v.name, v.timezone, v.enabled, v.paused_until, v.provider = any (public.prebooking_systems_with('logins')) as has_logins
    from public.venues v),
  waiting as materialized (
    select p.id, p.venue_id, p.available_at, p.created_at, case
        when not v.enabled or v.paused_until > p.available_at then 'paused'
        when coalesce(p.warning, p.class_warning) is not null then left(split_part(coalesce(p.warning, p.class_warning), ':', 1), 40)
        when p.class_unknown then 'class_unknown'
        when not v.has_logins then null
        -- Sets that are read once, whatever Postgres expects of their sizes.
        when (p.venue_id, lower(p.user_email)) not in (select s.venue_id, s.user_email from public.member_sessions s) then 'no_login'
        when (p.venue_id, lower(p.user_email)) in (
          select s.venue_id, s.user_email from public.member_sessions s where s.expired_at is not null and s.password is null)
          then 'session_expired' end as problem,
      left(coalesce(p.warning, p.class_warning), 120) as warning
    from public.prebookings p join venues v on v.id = p.venue_id
    where p.status = 'pending' and p.available_at > t and p.available_at <= t + interval '1 day'
      and (p.stands_after is null or p.promoted_at is not null)),
  counts as materialized (
    select venue_id, available_at, problem, count(*) as n, min(warning) as warning from waiting group by 1, 2, 3),
  openings as materialized (
    -- before: how many rows of the earlier ones are shown.
    select o.*, coalesce(sum(least(n, 20)) over (order by available_at, venue_id rows between unbounded preceding and 1 preceding), 0) as before
    from (select venue_id, available_at, sum(n) as n from counts group by 1, 2 order by 2, 1 limit 50) o),
  problems as (
    select venue_id, available_at,
      jsonb_agg(jsonb_build_object('code', problem, 'count', n, 'warning', warning) order by n desc, problem) as problems
    from (
      select c.*, row_number() over (partition by venue_id, available_at order by n desc, problem) as nth
      from counts c where problem is not null) c
    where nth <= 5 group by 1, 2),
  first_rows as materialized (
    select w.* from (
      select w.id, w.venue_id, w.available_at, w.problem, o.before, row_number() over (
        partition by w.available_at, w.venue_id order by w.problem is null, w.created_at, w.id) as nth
      from waiting w join openings o on o.venue_id = w.venue_id and o.available_at = w.available_at
      where o.before < 200) w
    where w.nth <= least(20, 200 - w.before)),
  shown as (
    select f.venue_id, f.available_at, jsonb_agg(jsonb_build_object('id', p.id, 'member', public.page_member(p.user_email),
      'class_name', left(p.booking_data ->> 'class_name', 40), 'problem', f.problem) order by f.nth) as rows
    from first_rows f join public.prebookings p on p.id = f.id group by 1, 2)
  select coalesce(jsonb_agg(jsonb_build_object(
    'venue', left(v.name, 40), 'timezone', v.timezone, 'available_at', o.available_at, 'waiting', o.n,
    'problems', coalesce(b.problems, '[]'), 'rows', coalesce(r.rows, '[]')) order by o.available_at, v.name, v.id), '[]')
  from openings o join venues v on v.id = o.venue_id
  left join problems b on b.venue_id = o.venue_id and b.available_at = o.available_at
  left join shown r on r.venue_id = o.venue_id and r.available_at = o.available_at
$$;

-- Returns the rows in doubt, the oldest first: {"in_doubt", "in_doubt_count"}. "doing" is what happens next:
--   called    a run holds the row
--   lease     the next run waits for the end of the lease of the run that called
--   paused    the venue is not called now
--   waits     the row is put off after an answer that was no help
--   next_run  the next run queries the venue
create function public.page_in_doubt(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  with doubtful as materialized (
    select p.*, v.name, v.timezone, v.enabled, v.paused_until, count(*) over () as n
    from public.prebookings p join public.venues v on v.id = p.venue_id
    where p.status = 'pending' and not p.fresh and not p.waits and (p.maybe_sent or (p.claimed_by is not null and p.attempts > 0))
    order by p.fired_at, p.available_at, p.id limit 50)
  select jsonb_build_object(
    'in_doubt_count', coalesce(max(d.n), 0),
    'in_doubt', coalesce(jsonb_agg(jsonb_build_object(
      'id', d.id, 'member', public.page_member(d.user_email), 'venue', left(d.name, 40), 'timezone', d.timezone,
      'class_name', left(d.booking_data ->> 'class_name', 40), 'since', public.page_instant(coalesce(d.fired_at, d.available_at)),
      'calls', d.attempts, 'doing', x.doing, 'next_question_at', public.page_instant(case x.doing
        when 'lease' then greatest(d.claimed_until, d.retry_after) when 'paused' then d.paused_until when 'waits' then d.retry_after
        when 'next_run' then t end))
      order by d.fired_at, d.available_at, d.id), '[]'))
  from doubtful d cross join lateral (
    select case
      when d.turn_until > t then 'called'
      when d.claimed_until > t then 'lease'
      when not d.enabled or d.paused_until > t then 'paused'
      when d.retry_after > t then 'waits'
      else 'next_run' end as doing) x
$$;

-- Returns the last 24 hours of the triggers: {"from", "to", "gaps", "triggers", "runs"}. A run's rows are those that
-- it has claimed or ended. The count of the scheduler's trigger is that of its runs with work; the other ones have none.
create function public.page_runs(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  with recent as materialized (
    select r.opened_at, r.claimed + r.expired + r.unknown as rows, r.closed_at is null and r.opened_at < t - interval '1 minute' as cut_off,
      case when r.closed_at between r.opened_at and t then (extract(epoch from r.closed_at - r.opened_at) * 1000)::bigint end as ms,
      count(*) over () as n
    from public.prebooking_runs r where r.opened_at > t - interval '1 day' and r.opened_at <= t
    order by 3 desc, r.opened_at desc limit 500)
  select jsonb_build_object(
    'from', t - interval '1 day', 'to', t,
    'gaps', (
      select coalesce(jsonb_agg(jsonb_build_object('from', g.from_at, 'to', g.to_at) order by g.from_at), '[]') from (
        (select greatest(from_at, t - interval '1 day') as from_at, to_at from public.heartbeat_gaps
        where to_at > t - interval '1 day' and to_at <= t order by to_at - from_at desc limit 100)
        union all
        select greatest(last_tick_at, t - interval '1 day'), t from public.prebooking_heartbeat where last_tick_at < t - interval '90 seconds') g),
    'triggers', (
      select coalesce(jsonb_agg(jsonb_build_object('trigger', x.trigger, 'last_at', public.page_instant(x.last_at), 'count', x.n)), '[]') from (
        select 'scheduler' as trigger, last_tick_at as last_at, (select coalesce(max(n), 0) from recent) as n from public.prebooking_heartbeat
        union all select 'upkeep', sessions_at, null from public.prebooking_heartbeat
        union all select 'bell', triggered_at, null from public.prebooking_bell where url is not null) x
      where x.last_at is not null),
    'runs', (
      select coalesce(jsonb_agg(jsonb_build_object('opened_at', r.opened_at, 'cut_off', r.cut_off, 'rows', r.rows,
        'ms', r.ms)
        order by r.opened_at), '[]')
      from recent r))
$$;

-- Returns the logins that are needed within a week, those that do not work first, and their numbers for the health, equal to
-- prebooking_logins: {"page": [...], "health": {"logins", "other_key", "no_login"}}. "state":
--   none        there is no login
--   over        the venue has refused it
--   remembered  it is made anew before the opening
--   kept        upkeep keeps it alive
create function public.page_logins(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  with needed as materialized (
    select p.venue_id, lower(p.user_email) as user_email, min(p.available_at) as needed_at,
      count(*) filter (where p.warning like 'other_key:%' and p.available_at <= t + interval '1 day') as other_key
    from public.prebookings p join public.venues v on v.id = p.venue_id
    where v.provider = any (public.prebooking_systems_with('logins')) and p.status = 'pending'
      and p.available_at <= t + interval '7 days' and p.expires_at > t
    group by 1, 2),
  known as materialized (
    select n.*, s.refreshed_at, s.expired_at is null as is_alive, case
        when s.sealed is null then 'none'
        when s.password is not null then 'remembered'
        when s.expired_at is not null then 'over'
        else 'kept' end as state
    from needed n left join public.member_sessions s on s.venue_id = n.venue_id and s.user_email = n.user_email),
  chosen as (
    select k.*, public.page_member(k.user_email) as member, v.name, v.timezone, k.state in ('none', 'over') as fails
    from (select * from known order by state in ('none', 'over') desc, needed_at, user_email limit 50) k
    join public.venues v on v.id = k.venue_id),
  missing as (
    select k.*, v.name, v.timezone from (
      select * from known where state = 'none' and needed_at <= t + interval '1 day' order by needed_at, user_email limit 200) k
    join public.venues v on v.id = k.venue_id)
  select jsonb_build_object(
    'page', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'member', c.member, 'venue', left(c.name, 40), 'timezone', c.timezone, 'state', c.state,
        'needed_at', public.page_instant(c.needed_at), 'soon', c.needed_at <= t + interval '1 day',
        'ends_at', case when c.state in ('remembered', 'kept') then public.page_instant(c.refreshed_at) + interval '30 minutes' end)
        order by c.fails desc, c.needed_at, c.user_email), '[]')
      from chosen c),
    'health', (
      select jsonb_build_object('logins', count(*) filter (where state in ('remembered', 'kept')), 'other_key', coalesce(sum(other_key), 0))
      from known)
      || jsonb_build_object('no_login', (
        select coalesce(jsonb_agg(jsonb_build_object('venue', m.name, 'timezone', m.timezone,
          'user_email', public.page_member(m.user_email), 'opens', m.needed_at) order by m.needed_at, m.user_email), '[]')
        from missing m)))
$$;

-- Returns the messages that wait, those that were given up in the last day, and the channels that take none.
create function public.page_messages(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select jsonb_build_object(
    'waiting', (select count(*) from public.notifications where status = 'waiting'),
    'dead', (
      select coalesce(jsonb_agg(jsonb_build_object('event', d.event, 'kind', d.kind, 'count', d.n) order by d.n desc, d.event, d.kind), '[]') from (
        select n.event, coalesce(c.kind, 'removed') as kind, count(*) as n
        from public.notifications n left join public.notification_channels c on c.id = n.channel_id
        where n.settled_at between t - interval '1 day' and 'infinity' and n.status = 'dead' group by 1, 2) d),
    'failing', (
      select coalesce(jsonb_agg(jsonb_build_object('kind', f.kind, 'member', public.page_member(f.user_email),
        'since', public.page_instant(f.failed_at), 'failure', f.failure) order by f.failed_at desc, f.id), '[]') from (
        select id, kind, user_email, failed_at, failure from public.notification_channels
        where failed_at is not null order by failed_at desc, id limit 50) f))
$$;

-- Returns the repeats that cannot make their prebookings.
create function public.page_repeats(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('member', public.page_member(r.user_email),
    'venue', left(r.name, 40), 'text', r.problem) order by r.created_at, r.id), '[]')
  from (
    select r.id, r.user_email, r.problem, r.created_at, v.name from public.repeats r join public.venues v on v.id = r.venue_id
    where r.problem is not null and r.paused_at is null order by r.created_at, r.id limit 50) r
$$;

-- Returns the health as prebooking_watch_v1 does, with masked members, and the start of runs without an end. p_logins is the
-- health of page_logins. Whether parts of upkeep are late is asked only if its trigger has not called for three minutes,
-- because nothing is said about them otherwise, and it costs more than the rest of the page.
create function public.page_health(t timestamptz, p_logins jsonb) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select h.health || coalesce(p_logins, '{"logins": 0, "other_key": 0, "no_login": []}') || jsonb_build_object(
    'messages', (h.health -> 'messages') || jsonb_build_object('failing', (
      select coalesce(jsonb_agg(m.row || jsonb_build_object('user_email', public.page_member(m.row ->> 'user_email')) order by m.n), '[]')
      from jsonb_array_elements(h.health #> '{messages,failing}') with ordinality as m(row, n) where m.n <= 50)),
    'open_runs', (
      select coalesce(jsonb_agg(r.opened_at order by r.opened_at), '[]') from (
        select opened_at from public.prebooking_runs where closed_at is null and opened_at > t - interval '1 day' order by opened_at limit 50) r))
  from (
    select public.prebooking_watch(t, case
      when (select sessions_at from public.prebooking_heartbeat) > t - interval '3 minutes' then '[]'
      else public.prebooking_upkeep_late(t) end) as health) h
$$;

-- Returns the data of the page: {"now", "failed", and an object per section}. An error in a section is reported in "failed", and
-- the other sections are there.
create function public.page_status_v1() returns json
language plpgsql volatile security invoker set search_path = '' set jit = off as $$
declare
  t          constant timestamptz := public.prebooking_clock();
  v_failed   text[] := '{}';
  v_logins   jsonb; v_health jsonb; v_bell jsonb; v_openings jsonb; v_calls json; v_outcomes jsonb; v_in_doubt jsonb;
  v_runs     jsonb; v_messages jsonb; v_repeats jsonb;
begin
  begin v_logins := public.page_logins(t); exception when others then v_failed := v_failed || 'logins'::text; end;
  begin v_health := public.page_health(t, v_logins -> 'health'); exception when others then v_failed := v_failed || 'health'::text; end;
  begin v_bell := public.prebooking_bell_status_v1(); exception when others then v_failed := v_failed || 'bell'::text; end;
  begin v_openings := public.page_openings(t); exception when others then v_failed := v_failed || 'openings'::text; end;
  begin v_calls := public.page_calls_of_a_week(t); exception when others then v_failed := v_failed || 'calls'::text; end;
  begin v_outcomes := public.page_outcomes(t); exception when others then v_failed := v_failed || 'outcomes'::text; end;
  begin v_in_doubt := public.page_in_doubt(t); exception when others then v_failed := v_failed || 'in_doubt'::text; end;
  begin v_runs := public.page_runs(t); exception when others then v_failed := v_failed || 'runs'::text; end;
  begin v_messages := public.page_messages(t); exception when others then v_failed := v_failed || 'messages'::text; end;
  begin v_repeats := public.page_repeats(t); exception when others then v_failed := v_failed || 'repeats'::text; end;
  return json_build_object('now', t, 'failed', v_failed, 'logins', v_logins -> 'page', 'health', v_health, 'bell', v_bell,
    'openings', v_openings, 'calls', v_calls, 'outcomes', v_outcomes, 'in_doubt', v_in_doubt, 'runs', v_runs,
    'messages', v_messages, 'repeats', v_repeats);
end $$;

-- Returns one prebooking with its steps in the order of time, or null. after_ms counts from the opening, or from the promotion
-- of a later choice.
create function public.page_prebooking_v1(p_id uuid) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select jsonb_build_object('id', p.id, 'member', public.page_member(p.user_email), 'venue', left(v.name, 40), 'timezone', v.timezone,
    'class_name', left(p.booking_data ->> 'class_name', 40), 'status', p.status, 'outcome', p.outcome,
    'text', coalesce(p.error_message, p.warning, p.class_warning),
    'steps', (
      select coalesce(jsonb_agg(jsonb_build_object('step', s.step, 'at', s.at, 'after_ms',
        case when s.step <> 'added' then ((extract(epoch from s.at) - extract(epoch from d.due)) * 1000)::bigint end)
        order by s.at, s.number), '[]')
      from (select public.page_instant(greatest(p.available_at, p.promoted_at)) as due) d cross join lateral (values
        (1, 'added', public.page_instant(p.created_at)),
        (2, 'due', d.due),
        (3, 'claimed', (select public.page_instant(r.opened_at) from public.prebooking_runs r where r.instance_id = coalesce(p.claimed_by, p.settled_by))),
        (4, 'sent', public.page_instant(p.fired_at)),
        (5, 'answered', public.page_instant(p.answered_at)),
        (6, 'settled', public.page_instant(p.settled_at))) s(number, step, at)
      where s.at is not null))
  from public.prebookings p join public.venues v on v.id = p.venue_id where p.id = p_id
$$;

-- Returns a prebooking's member, for a person who has asked for it: {"member"}, or null.
create function public.page_member_v1(p_id uuid) returns jsonb
language sql volatile security invoker set search_path = '' as $$
  select jsonb_build_object('member', user_email) from public.prebookings where id = p_id
$$;

alter table public.page_progress  enable row level security, force row level security;
alter table public.page_days      enable row level security, force row level security;
alter table public.page_lateness  enable row level security, force row level security;
alter table public.page_calls     enable row level security, force row level security;
alter table public.heartbeat_gaps enable row level security, force row level security;
create policy service_role_only on public.page_progress  to service_role using (true) with check (true);
create policy service_role_only on public.page_days      to service_role using (true) with check (true);
create policy service_role_only on public.page_lateness  to service_role using (true) with check (true);
create policy service_role_only on public.page_calls     to service_role using (true) with check (true);
create policy service_role_only on public.heartbeat_gaps to service_role using (true) with check (true);
revoke all on public.page_progress, public.page_days, public.page_lateness, public.page_calls, public.heartbeat_gaps
  from public, anon, authenticated, service_role;
grant select, update on public.page_progress to service_role;
grant select, insert, update, delete on public.page_days, public.page_lateness to service_role;
grant select, insert, delete on public.page_calls, public.heartbeat_gaps to service_role;
revoke all on function public.heartbeat_note_gap, public.page_member, public.page_instant, public.page_digits, public.page_settled,
  public.page_fold, public.page_ranked, public.page_thin_out, public.page_tail, public.page_outcomes, public.page_calls_of_a_week,
  public.page_openings, public.page_in_doubt, public.page_runs, public.page_logins, public.page_messages, public.page_repeats,
  public.page_health, public.page_status_v1, public.page_prebooking_v1, public.page_member_v1
  from public, anon, authenticated, service_role;
grant execute on function public.page_member, public.page_instant, public.page_digits, public.page_settled,
  public.page_fold, public.page_ranked, public.page_thin_out, public.page_tail, public.page_outcomes, public.page_calls_of_a_week,
  public.page_openings, public.page_in_doubt, public.page_runs, public.page_logins, public.page_messages, public.page_repeats,
  public.page_health, public.page_status_v1, public.page_prebooking_v1, public.page_member_v1 to service_role;
notify pgrst, 'reload schema';
