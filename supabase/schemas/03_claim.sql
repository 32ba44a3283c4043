-- The claim: leases due rows to an invocation. The comments of this function explain why concurrent claims are safe.

-- The clock that decides what is due; no other clock does. Tests replace this function.
create function public.prebooking_clock() returns timestamptz
language sql volatile security invoker set search_path = '' as 'select clock_timestamp()';

-- The lock of all claims and of all finish_run calls: they run one at a time. It is held until the end of the transaction,
-- for a few milliseconds.
create function public.prebooking_lock() returns void
language sql volatile security invoker set search_path = '' as 'select pg_advisory_xact_lock(7301, 1)';

-- Returns the venues that a claim has to look at, so that its cost follows the rows that it takes, not the rows that are due.
-- filled: their fresh rows fill the room of the claim. Then every row that it takes is among the fresh rows of these venues.
--
-- A claim takes the first p_batch rows of each venue before other rows, and venues in the order of their first row. So venues
-- whose first row comes later can be left out, if enough rows of p_batch or less per venue come before it. This function counts
-- only rows that the claim surely takes if there is room. It counts no rows of a venue whose first due row it cannot take,
-- because the place of that venue in the order is not known then. A count that is too low only adds venues, and a venue
-- without rows to take does not change what a claim takes.
--
-- The first thousand fresh due rows are read in order. They are not enough if most of them are of a few venues, or cannot be
-- taken. Then the first due row of every venue is read.
create function public.prebooking_venues_to_claim(
  p_instance uuid, p_providers text[], p_keys text[], p_passed uuid[], t timestamptz, p_until timestamptz, p_room bigint, p_batch int,
  out venues uuid[], out filled boolean)
language plpgsql volatile security invoker set search_path = ''
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
  v_walk        constant int    := 1000;
  v_with_logins constant text[] := public.prebooking_systems_with('logins');
  v_firsts      uuid[];
  v_all         boolean := false;
  n_walked      int;
  n_rows        int;
  n_venues      int;
begin
  venues := '{}';
  filled := p_room <= 0;
  if filled then
    return;
  end if;
  with walked as materialized (
    select p.id, p.venue_id, p.available_at, p.created_at from public.prebookings p
    where p.status = 'pending' and p.fresh and p.available_at <= p_until
    order by p.available_at, p.created_at, p.id limit v_walk),
  firsts as (
    select distinct on (w.venue_id) w.* from walked w order by w.venue_id, w.available_at, w.created_at, w.id)
  select coalesce(array_agg(f.venue_id order by f.available_at, f.created_at, f.id), '{}'),
         array_agg(f.id order by f.available_at, f.created_at, f.id), (select count(*) from walked)
  into venues, v_firsts, n_walked from firsts f;

  while n_walked >= least(p_room, v_walk) loop
    -- The limit ends this after the venues that are needed.
    select count(*), max(c.n) into n_rows, n_venues
    from (
      select c.n
      from unnest(venues, v_firsts) with ordinality as c(id, first, n)
      cross join lateral (
        select w.provider = any (v_with_logins) as has_logins from public.venues w
        where w.id = c.id and w.enabled and w.troubled_since is null and (w.paused_until is null or w.paused_until <= t)
          and w.provider = any (p_providers) limit 1) v
      cross join lateral (
        -- The openings on which another invocation has the turn, and the number of rows that this one holds.
        select coalesce(array_agg(b.available_at::timestamptz) filter (where b.claimed_by <> p_instance and b.turn_until > t), '{}') as busy,
               count(*) filter (where b.claimed_by = p_instance) as held
        from public.prebookings b
        where b.status = 'pending' and b.venue_id = c.id and not b.fresh and not b.waits) b
      cross join lateral (
        select from (
          select first_value(p.id) over (order by p.available_at, p.created_at, p.id) as first
          from public.prebookings p
          where p.status = 'pending' and p.venue_id = c.id and p.fresh and p.available_at <= t and p.expires_at > t
            and p.available_at <> all (b.busy) and p.id <> all (p_passed)
            and (not v.has_logins or (
              select true from public.member_sessions l
              where l.venue_id = p.venue_id and l.user_email = lower(p.user_email)
                and (p_keys is null or l.key_id is null or l.key_id = any (p_keys) or l.expired_at is not null)))
          limit greatest(p_batch - b.held, 0)) p
        where p.first = c.first) p
      order by c.n limit p_room) c;
    filled := n_rows = p_room;
    if filled then
      venues := venues[1 : n_venues];
      return;
    end if;
    exit when v_all or n_walked < v_walk;
    v_all := true;
    select coalesce(array_agg(f.venue_id order by f.available_at, f.created_at, f.id), '{}'),
           array_agg(f.id order by f.available_at, f.created_at, f.id)
    into venues, v_firsts
    from public.venues v cross join lateral (
      select p.id, p.venue_id, p.available_at, p.created_at from public.prebookings p
      where p.status = 'pending' and p.venue_id = v.id and p.fresh and p.available_at <= p_until
      order by p.available_at, p.created_at, p.id limit 1) f
    where v.enabled and v.provider = any (p_providers) and (v.paused_until is null or v.paused_until <= t);
  end loop;
  -- There may be room for other rows than fresh ones.
  venues := array(
    select unnest(venues)
    union
    select p.venue_id from public.prebookings p
    where p.status = 'pending' and p.available_at <= p_until and p.expires_at > t and not p.fresh and not p.waits
      and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > t + interval '300 seconds')
      and (p.retry_after is null or p.retry_after <= t or p.retry_after > t + interval '15 minutes'));
end $$;

-- Leases the oldest due rows to one invocation.
--
--   p_instance        the invocation; a repeated call returns the rows that it still holds, and new ones
--   p_providers       the venue systems of this deployment; rows of other systems are not taken
--   p_limit           rows that this invocation can hold at once
--   p_fire_within_ms  the time in which it may still start calls; a row is taken only if its slot is within it
--   p_stagger_ms      the time between two slots of a venue
--   p_lead_ms         rows that open within this time are taken too, and held until then
--   p_lease_ms        the duration of the lease: until its end no other invocation changes the rows
--   p_turn_ms         the duration of the turn: until its end no other invocation claims rows of their openings
--   p_by_hand         a person started the run, so the trigger's heartbeat is not updated
--   p_keys            ids of this deployment's keys for sessions; null: sessions of any key
--
-- Returns {"now", "expired", "unknown", "locked", "no_login", "rows": [...]}. It is one value, so that the row limit of the
-- REST API does not apply.
--   expired, unknown  rows that this invocation's claims have ended, because the class has begun
--   locked            due rows that were skipped, because another transaction has locked them
--   no_login          due rows that were skipped with a warning, because this deployment cannot decrypt their member's session
--   rows              booking_data is text that Python parses row by row, so that an unreadable value breaks its own row only.
--                     session is the member's encrypted session, so that no further call is needed at the opening.
--                     session_over: the venue has refused it. alone: calls of this row were answered "blocked", and the venue
--                     has answered other calls clearly since then. created_at of a later choice is its promotion, from which its
--                     place in the queue and its lateness count.
--
-- Fresh rows of healthy venues are taken first. After them come rows that made no progress before, and rows of troubled
-- venues: at most ten per venue and a hundred in all, so that they take no slots from rows that can be booked.
--
-- The lock comes first, then the clock, then separate statements: only a snapshot taken after the lock contains the changes
-- of earlier claims. A single statement would use its snapshot from before the wait, and would claim rows twice.
-- After the lock no statement waits: rows that another transaction has locked are skipped, and the next rows are taken.
create function public.claim_due_prebookings_v1(
  p_instance uuid, p_providers text[], p_limit int, p_fire_within_ms int, p_stagger_ms int,
  p_lead_ms int, p_lease_ms int, p_turn_ms int, p_by_hand boolean default false, p_keys text[] default null)
returns jsonb language plpgsql volatile security invoker set search_path = ''
-- Shorter than the caller's timeout, so that the caller gets the answer "busy".
set lock_timeout = '1500ms'
-- JIT compilation would cost a new connection 50 to 110 ms per call.
set jit = off
-- Every statement reads an index, mostly in its order. Without statistics, or with old ones, Postgres would read the table, or
-- all due rows of a venue to sort them.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
  ms            constant interval := '1 millisecond';
  v_limit       constant int      := least(greatest(coalesce(p_limit, 0), 0), 500);
  v_stagger     constant interval := greatest(coalesce(p_stagger_ms, 50), 1) * ms;
  v_within      constant interval := coalesce(p_fire_within_ms, 0) * ms;
  v_lead        constant interval := least(greatest(coalesce(p_lead_ms, 0), 0), 30000) * ms;
  v_lease       constant interval := least(greatest(coalesce(p_lease_ms, 30000), 1000), 300000) * ms;
  v_turn        constant interval := least(greatest(coalesce(p_turn_ms, 8000), 0) * ms, v_lease);
  v_per_venue   constant int      :=
    least(greatest(coalesce(p_fire_within_ms, 0), -1) / greatest(coalesce(p_stagger_ms, 50), 1) + 1, 200);
  v_behind      constant int      := 10;
  v_behind_all  constant int      := 100;
  v_with_logins constant text[]   := public.prebooking_systems_with('logins');
  t             timestamptz;
  v_began       timestamptz;
  v_claim_ms    int;
  v_longest     timestamptz;
  v_back_off    timestamptz;
  v_missed      uuid[];
  v_passed      uuid[] := '{}';
  v_venues      uuid[];
  v_filled      boolean;
  n_expired     int;
  n_unknown     int;
  n_no_login    int;
  n_taken       int;
  n_claimed     int := 0;
begin
  if p_instance is null then
    raise exception 'p_instance is missing: every invocation needs its own id' using errcode = '22004';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the claim needs read committed: a fixed snapshot misses the claims it waited for' using errcode = '25000';
  end if;
  perform public.prebooking_lock();
  t := public.prebooking_clock();
  v_began := clock_timestamp();
  -- The latest possible ends of a lease, a turn and a back-off. Later ones were written while the database's clock was ahead,
  -- and do not count.
  v_longest := t + interval '300 seconds';
  v_back_off := t + interval '15 minutes';

  -- The heartbeat. If another transaction has locked its row, the next claim writes it.
  if not p_by_hand then
    update public.prebooking_heartbeat set last_tick_at = t, providers = p_providers
    where only_one in (select h.only_one from public.prebooking_heartbeat h for no key update skip locked);
    insert into public.prebooking_heartbeat (last_tick_at, providers)
      select t, p_providers where not exists (select 1 from public.prebooking_heartbeat) on conflict (only_one) do nothing;
  end if;
  -- If this run is closed, this is a delayed retry of its claim, which must take nothing.
  if exists (select 1 from public.prebooking_runs where instance_id = p_instance and closed_at is not null) then
    return jsonb_build_object('now', t, 'expired', 0, 'unknown', 0, 'locked', 0, 'no_login', 0, 'rows', '[]'::jsonb);
  end if;

  with late as materialized (
    select id from public.prebookings
    where status = 'pending' and expires_at <= t
      and (claimed_until is null or claimed_until <= t or claimed_until > v_longest)
    order by expires_at limit 5000 for no key update skip locked),
  ended as (
    update public.prebookings p
    set status = 'failed', settled_at = t, claimed_by = null, claimed_until = null, turn_until = null,
        outcome = case when p.maybe_sent or p.claimed_by is not null then 'unknown' else 'expired' end,
        error_message = case when p.maybe_sent or p.claimed_by is not null
          then 'The request may have reached the venue, and no clear answer came before the class began: check at the venue.'
          else 'The class began before this could be booked.' end
    from late where p.id = late.id returning p.outcome)
  select count(*) filter (where outcome = 'expired'), count(*) filter (where outcome = 'unknown')
  into n_expired, n_unknown from ended;

  -- Due rows whose session this deployment cannot decrypt get a warning, and are left to a deployment that can. Only the first
  -- thousand due rows are looked at; upkeep warns about rows before they are due.
  with due as materialized (
    (select p.id, p.venue_id, lower(p.user_email) as user_email, p.expires_at, p.warning
     from public.prebookings p
     where v_with_logins && p_providers and p.status = 'pending' and p.available_at <= t + v_lead and p.fresh
     order by p.available_at, p.created_at, p.id limit 1000)
    union all
    (select p.id, p.venue_id, lower(p.user_email) as user_email, p.expires_at, p.warning
     from public.prebookings p
     where v_with_logins && p_providers and p.status = 'pending' and p.available_at <= t + v_lead and not p.waits and not p.fresh
       and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)
     order by p.venue_id, p.available_at, p.created_at, p.id limit 1000)),
  unopened as materialized (
    select d.id, d.warning as old_warning, case when s.venue_id is null
        then 'no_login: booking is open, and there is no login for this member. The member has to log in.'
        else 'other_key: booking is open, and the login was encrypted with a key that this deployment does not have.' end as warning
    from due d
    cross join lateral (
      select from public.venues v
      where v.id = d.venue_id and v.enabled and v.provider = any (v_with_logins) and v.provider = any (p_providers) limit 1) v
    left join lateral (
      select s.venue_id, p_keys is null or s.key_id is null or s.key_id = any (p_keys) or s.expired_at is not null as is_usable
      from public.member_sessions s where s.venue_id = d.venue_id and s.user_email = d.user_email limit 1) s on true
    where d.expires_at > t and s.is_usable is not true),
  warned as (
    update public.prebookings p set warning = u.warning
    from unopened u
    where p.id = u.id and p.id in (
      select w.id from public.prebookings w
      where w.id = any (array(
          select id from unopened where warning is distinct from old_warning and coalesce(old_warning, '') not like 'bad\_data: %'))
        and w.status = 'pending'
      for no key update skip locked))
  select count(*) into n_no_login from unopened;

  -- If rows were skipped because they are locked, the next round takes the rows after them instead.
  for v_round in 1 .. 3 loop
    select c.venues, c.filled into v_venues, v_filled
    from public.prebooking_venues_to_claim(
      p_instance, p_providers, p_keys, v_passed, t, t + v_lead, v_limit - (
        select count(*) from public.prebookings h
        where h.status = 'pending' and h.claimed_by = p_instance and h.claimed_until > t and h.claimed_until <= v_longest),
      least(40, v_per_venue)) c;
    exit when v_venues = '{}';
    with held as materialized (
      -- The rows that this invocation already holds: their slots, and how many of them count against the share of v_behind.
      select venue_id, count(*) as n, count(*) filter (where maybe_sent or retry_after is not null or blocks > 0) as behind
      from public.prebookings
      where status = 'pending' and claimed_by = p_instance and claimed_until > t and claimed_until <= v_longest group by venue_id),
    busy as materialized (
      -- Openings on which another invocation has the turn.
      select b.venue_id, b.available_at
      from unnest(v_venues) as chosen(id) cross join lateral (
        -- "is distinct from", so that Postgres does not read the index of all claimed rows for each venue.
        select venue_id, available_at from public.prebookings
        where status = 'pending' and venue_id = chosen.id and not fresh and not waits
          and (claimed_by is distinct from p_instance and turn_until > t and turn_until <= v_longest) offset 0) b),
    ready as materialized (
      -- Venues that can be called now.
      select v.id, w.is_troubled, v.provider = any (v_with_logins) as has_logins, coalesce(h.n, 0) as held,
             greatest(v_behind - coalesce(case when w.is_troubled then h.n else h.behind end, 0), 0) as share
      from unnest(v_venues) as chosen(id) join public.venues v on v.id = chosen.id left join held h on h.venue_id = v.id cross join lateral (
        -- Trouble of more than 10 minutes ago does not count: a venue that still fails would have been paused again.
        select v.troubled_since is not null and coalesce(v.paused_until, v.troubled_since) > t - interval '10 minutes' as is_troubled) w
      where v.enabled and (v.paused_until is null or v.paused_until <= t) and v.provider = any (p_providers)),
    due as materialized (
      -- The oldest fresh rows of each venue.
      select row.*, r.held, r.share, r.is_troubled as is_behind, false as was_held_back
      from ready r cross join lateral (
        select p.id, p.venue_id, p.available_at, p.created_at, p.retry_after from public.prebookings p
        where p.status = 'pending' and p.venue_id = r.id and p.fresh and p.available_at <= t + v_lead and p.expires_at > t
          and (p.venue_id, p.available_at) not in (select b.venue_id, b.available_at from busy b)
          and (not r.has_logins or (
            select true from public.member_sessions o
            where o.venue_id = p.venue_id and o.user_email = lower(p.user_email)
              and (p_keys is null or o.key_id is null or o.key_id = any (p_keys) or o.expired_at is not null)))
          and p.id <> all (v_passed)
        order by p.available_at, p.created_at, p.id limit v_per_venue) row
      union all
      -- The rows of each venue that made no progress before, the longest waiting first, so that ten rows that never make
      -- progress do not delay the others.
      select row.*, r.held, r.share, true, true
      from ready r cross join lateral (
        select p.id, p.venue_id, p.available_at, p.created_at, p.retry_after from public.prebookings p
        where p.status = 'pending' and p.venue_id = r.id and not p.fresh and not p.waits and p.available_at <= t + v_lead and p.expires_at > t
          and not v_filled and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)
          and (p.retry_after is null or p.retry_after <= t or p.retry_after > v_back_off)
          and (p.venue_id, p.available_at) not in (select b.venue_id, b.available_at from busy b)
          and (not r.has_logins or (
            select true from public.member_sessions b
            where b.venue_id = p.venue_id and b.user_email = lower(p.user_email)
              and (p_keys is null or b.key_id is null or b.key_id = any (p_keys) or b.expired_at is not null)))
          and p.id <> all (v_passed)
        order by p.retry_after nulls first, p.available_at, p.created_at, p.id limit v_behind) row),
    behind as (
      -- The rows after the fresh ones, within the share of each venue.
      select d.* from (
        select due.*, row_number() over (
            partition by venue_id order by was_held_back, retry_after nulls first, available_at, created_at, id) as number
        from due where is_behind) d
      where d.number <= d.share),
    queue as (
      -- Each venue's queue, after the rows that are held already. The rows after the fresh ones are limited to v_behind_all:
      -- the first of every venue, then the second of every venue, and so on.
      select q.*, q.held + row_number() over (
          partition by q.venue_id order by q.is_behind, q.was_held_back, q.available_at, q.created_at, q.id) as position
      from (
        select id, venue_id, available_at, created_at, held, is_behind, was_held_back from due where not is_behind
        union all
        select id, venue_id, available_at, created_at, held, is_behind, was_held_back from (
          select behind.*, row_number() over (order by number, available_at, created_at, id) as number_of_all from behind) b
        where b.number_of_all <= v_behind_all - (select coalesce(sum(behind), 0) from held)) q),
    slots as (
      -- A slot is max(available_at, previous slot + stagger), and the first one is not before t. Openings before t count as t,
      -- because Postgres cannot subtract a stagger from the earliest instant. Venues are ordered by the first row of their
      -- queue.
      select q.*, position * v_stagger + greatest(t - v_stagger, max(greatest(q.available_at, t) - position * v_stagger) over so_far) as slot,
             first_value(q.available_at) over so_far as first_opens, first_value(q.created_at) over so_far as first_created,
             first_value(q.id) over so_far as first_id
      from queue q window so_far as (partition by venue_id order by position)),
    batches as (
      -- Batches of forty rows per venue: first the first batch of every venue, then the second ones, so that no venue delays
      -- another. Within a batch number, venue by venue, so that whole openings are left for other invocations.
      select s.*, (position - 1) / 40 as batch, row_number() over (
        order by is_behind, (position - 1) / 40, first_opens, first_created, first_id, position) as nth
      from slots s where slot <= t + v_within),
    whole_batches as (
      -- The first batch of a venue is taken as a whole, or left to another invocation. With a part of it this invocation would
      -- get the turn on the opening, and the rest would wait for the end of this run. Later batches are taken in part. All
      -- fresh rows come before the others, so the others are taken only if no fresh row is left.
      select b.*, h.room, nth <= h.room and (
          batch > 0 or is_behind or max(nth) over batch <= h.room or (v_round = 1 and min(nth) over batch = 1)) as fits
      from batches b, (select greatest(v_limit - coalesce(sum(n), 0), 0) as room from held) h
      window batch as (partition by venue_id, is_behind, (position - 1) / 40)),
    chosen as materialized (select id from whole_batches where fits),
    free as materialized (
      -- A join, because without statistics Postgres would read all pending rows to find an array of ids.
      select p.id from chosen join public.prebookings p on p.id = chosen.id
      where p.status = 'pending' and not p.waits
        and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)
      for no key update skip locked),
    taken as (
      -- A row with an expired claim is in doubt, because its holder may have sent it before it died. If that run was not
      -- closed, it may have made calls that were not recorded, so the count of blocks starts again.
      update public.prebookings p
      set maybe_sent = p.maybe_sent or p.claimed_by is not null,
          blocks = case when p.claimed_by is null or exists (
            select from public.prebooking_runs r where r.instance_id = p.claimed_by and r.closed_at is not null) then p.blocks else 0 end,
          claimed_by = p_instance, claimed_until = t + v_lease, turn_until = t + v_turn,
          warning = case when p.warning not like 'no\_login: %' and p.warning not like 'other\_key: %' then p.warning end
      from free f where p.id = f.id returning p.id)
    select array(select id from chosen except select id from taken), (select count(*) from taken) into v_missed, n_taken;
    n_claimed := n_claimed + n_taken;
    v_passed := v_passed || v_missed;
    exit when v_missed = '{}';
  end loop;

  if n_claimed + n_expired + n_unknown > 0 then
    v_claim_ms := extract(epoch from clock_timestamp() - v_began) * 1000;
    insert into public.prebooking_runs as r (instance_id, opened_at, claimed, expired, unknown, claim_ms)
      values (p_instance, t, n_claimed, n_expired, n_unknown, v_claim_ms)
      on conflict (instance_id) do update
      set claimed = r.claimed + excluded.claimed, expired = r.expired + excluded.expired, unknown = r.unknown + excluded.unknown,
          claim_ms = greatest(r.claim_ms, excluded.claim_ms);
  end if;
  -- Old runs are deleted even if nothing is due, because failed runs also have rows.
  delete from public.prebooking_runs where instance_id in (
    select instance_id from public.prebooking_runs where opened_at < t - interval '30 days'
    order by opened_at limit 100 for update skip locked);
  perform public.prebooking_prune(t);

  -- A repeated call runs the same query, so it returns the rows of the first call too.
  return (
    select jsonb_build_object(
      'now', public.prebooking_clock(),
      'expired', coalesce((select r.expired from public.prebooking_runs r where r.instance_id = p_instance), 0),
      'unknown', coalesce((select r.unknown from public.prebooking_runs r where r.instance_id = p_instance), 0),
      -- Rows that were cancelled or settled meanwhile do not count.
      'locked', (select count(*) from public.prebookings p where p.id = any (v_passed) and p.status = 'pending'),
      'no_login', n_no_login,
      'rows', coalesce(jsonb_agg(jsonb_build_object(
        'id', p.id, 'user_email', p.user_email, 'booking_data', p.booking_data::text, 'available_at', p.available_at,
        'expires_at', p.expires_at, 'created_at', greatest(p.created_at, p.promoted_at), 'maybe_sent', p.maybe_sent, 'attempts', p.attempts,
        'unclear', p.unclear, 'early_since', p.early_since, 'missing_since', p.missing_since, 'setbacks', p.setbacks,
        'if_not_booked', p.if_not_booked, 'blocks', p.blocks, 'alone', p.blocks > 0 and coalesce(v.answered_at > p.blocked_at, false),
        'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
          'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent),
        'session_over', s.expired_at is not null,
        'session', case when s.sealed is not null and s.expired_at is null then
          jsonb_build_object('sealed', s.sealed, 'version', s.version, 'refreshed_at', s.refreshed_at) end)
        order by p.available_at, p.created_at, p.id), '[]'))
    from public.prebookings p join public.venues v on v.id = p.venue_id
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email)
    where p.status = 'pending' and p.claimed_by = p_instance and p.claimed_until > t and p.claimed_until <= v_longest);
end $$;

-- Returns the time of the last claim, without taking the lock: {"now", "last_claim_at"}; null if there was no claim. A claim
-- by hand counts if it had work, because it has a run then.
create function public.claims_since_v1()
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select jsonb_build_object('now', public.prebooking_clock(), 'last_claim_at', greatest(
    (select last_tick_at from public.prebooking_heartbeat), (select max(opened_at) from public.prebooking_runs)))
$$;

revoke all on function public.prebooking_clock, public.prebooking_lock, public.prebooking_venues_to_claim, public.claim_due_prebookings_v1,
  public.claims_since_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_clock, public.prebooking_lock, public.prebooking_venues_to_claim, public.claim_due_prebookings_v1,
  public.claims_since_v1 to service_role;
notify pgrst, 'reload schema';
