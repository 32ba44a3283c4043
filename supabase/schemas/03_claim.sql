-- The claim: which due rows this invocation may fire. The whole argument about concurrency is in this one function.

-- The only clock that decides what is due. Tests replace it; nothing else decides by the time.
create function public.prebooking_clock() returns timestamptz
language sql volatile security invoker set search_path = '' as 'select clock_timestamp()';

-- All claims and all ends of runs, one after the other: held to the end of the transaction, a few milliseconds.
create function public.prebooking_lock() returns void
language sql volatile security invoker set search_path = '' as 'select pg_advisory_xact_lock(7301, 1)';

-- Takes the oldest due rows for one invocation and leases them to it.
--
--   p_instance        the invocation; asked again it answers with the rows it still holds, and with new ones
--   p_providers       the venue systems this deployment can book; rows of others wait for a deployment that can
--   p_limit           rows this invocation can hold at once
--   p_fire_within_ms  how long it may still start calls; a row is taken only if its slot lies before that
--   p_stagger_ms      from one slot of a venue to the next
--   p_lead_ms         also rows that open within this time, to be held until they do
--   p_lease_ms        until then nobody else touches the rows
--   p_turn_ms         until then nobody else starts on their openings
--   p_by_hand         a person runs it, not the trigger: so it is no sign that the trigger works
--   p_keys            ids of the keys that this deployment opens logins with; null: whichever there are
--
-- Answers {"now", "expired", "unknown", "locked", "no_login", "rows": [...]}: one value, so no row limit between here and the
-- caller cuts it.
--   expired, unknown  rows that this invocation's claims have ended because the class has begun
--   locked            due rows that were passed over because another transaction holds them just now
--   no_login          due rows that were left, with a warning, because this deployment cannot open their member's login
--   rows              booking_data comes as text, to be read row by row: what no reader can take spoils its own row and not
--                     the answer. session is the member's login, sealed, where there is one, so that nobody has to ask for
--                     it while a class opens; session_over: the venue has ended it. alone: calls of this row were answered
--                     "blocked", and since then the venue has answered others.
--
-- Fresh rows of healthy venues come first. Behind them come rows that could not get on before, and rows of troubled venues:
-- ten of a venue and a hundred in all at a time, so that they take no slot from rows that can be booked.
--
-- Lock, then clock, then new statements: what an earlier claim did is seen only by a snapshot taken after the lock.
-- The same logic in a single statement decides by the snapshot from before its wait, and claims twice.
-- Behind the lock nothing waits: a row that somebody has locked is passed over, and those behind it are taken.
create function public.claim_due_prebookings_v1(
  p_instance uuid, p_providers text[], p_limit int, p_fire_within_ms int, p_stagger_ms int,
  p_lead_ms int, p_lease_ms int, p_turn_ms int, p_by_hand boolean default false, p_keys text[] default null)
returns jsonb language plpgsql volatile security invoker set search_path = ''
-- Less than the caller's patience: "busy" must reach it as an answer.
set lock_timeout = '1500ms'
-- Compiling the plan would cost a fresh connection 50 to 110 ms per call.
set jit = off as $$
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
  n_expired     int;
  n_unknown     int;
  n_no_login    int;
  n_taken       int;
  n_claimed     int := 0;
begin
  if p_instance is null then
    raise exception 'p_instance is missing: every invocation claims under an id of its own' using errcode = '22004';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the claim needs read committed: a fixed snapshot would not see what it waited for' using errcode = '25000';
  end if;
  perform public.prebooking_lock();
  t := public.prebooking_clock();
  v_began := clock_timestamp();
  -- No lease, turn or back-off ends later. One that does was written while the database's clock was ahead, and is none.
  v_longest := t + interval '300 seconds';
  v_back_off := t + interval '15 minutes';

  -- The heartbeat. A row that somebody holds is not waited for: the next claim writes it.
  if not p_by_hand then
    update public.prebooking_heartbeat set last_tick_at = t, providers = p_providers
    where only_one in (select h.only_one from public.prebooking_heartbeat h for no key update skip locked);
    insert into public.prebooking_heartbeat (last_tick_at, providers)
      select t, p_providers where not exists (select 1 from public.prebooking_heartbeat) on conflict (only_one) do nothing;
  end if;
  -- This run is closed: a delayed retry of its claim takes nothing.
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
          then 'The request may have reached the venue, and nobody could find out before the class began: look there.'
          else 'The class began before this could be booked.' end
    from late where p.id = late.id returning p.outcome)
  select count(*) filter (where outcome = 'expired'), count(*) filter (where outcome = 'unknown')
  into n_expired, n_unknown from ended;

  -- Due rows whose member's login this deployment cannot open. They are left to a deployment that can, and say so.
  with unopened as materialized (
    select p.id, p.warning as old_warning, case when s.venue_id is null
        then 'no_login: the venue has opened, and there is no login for this member. The member has to log in.'
        else 'other_key: the venue has opened, and the login was sealed with another key than this deployment has.' end as warning
    from public.venues v cross join lateral (
      select p.id, p.venue_id, lower(p.user_email) as user_email, p.warning from public.prebookings p
      where p.status = 'pending' and p.venue_id = v.id and p.available_at <= t + v_lead and p.expires_at > t
        and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)
        and (p.venue_id, lower(p.user_email)) not in (
          select s.venue_id, s.user_email from public.member_sessions s
          where p_keys is null or s.key_id is null or s.key_id = any (p_keys) or s.expired_at is not null)
      order by p.available_at, p.created_at, p.id limit 200) p
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = p.user_email
    where v.enabled and v.provider = any (v_with_logins) and v.provider = any (p_providers)),
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

  -- A row that somebody holds is passed over, and the next round takes what is behind it.
  for v_round in 1 .. 3 loop
    with held as materialized (
      -- What this invocation holds already keeps its slots, and its share of what may stand behind.
      select venue_id, count(*) as n, count(*) filter (where maybe_sent or retry_after is not null or blocks > 0) as behind
      from public.prebookings
      where status = 'pending' and claimed_by = p_instance and claimed_until > t and claimed_until <= v_longest group by venue_id),
    busy as materialized (
      -- Openings where another invocation has its turn.
      select venue_id, available_at from public.prebookings
      where status = 'pending' and claimed_by is not null and claimed_by <> p_instance and turn_until > t and turn_until <= v_longest),
    openable as materialized (
      -- Members whose login this deployment can open, or the venue has ended: that is an answer, too.
      select venue_id, user_email from public.member_sessions
      where p_keys is null or key_id is null or key_id = any (p_keys) or expired_at is not null),
    ready as materialized (
      -- Venues that can be called now.
      select v.id, w.is_troubled, v.provider = any (v_with_logins) as has_logins, coalesce(h.n, 0) as held,
             greatest(v_behind - coalesce(case when w.is_troubled then h.n else h.behind end, 0), 0) as share
      from public.venues v left join held h on h.venue_id = v.id cross join lateral (
        -- Trouble of long ago says nothing: a venue that is called in vain is paused again and again.
        select v.troubled_since is not null and coalesce(v.paused_until, v.troubled_since) > t - interval '10 minutes' as is_troubled) w
      where v.enabled and (v.paused_until is null or v.paused_until <= t) and v.provider = any (p_providers)),
    due as materialized (
      -- The oldest fresh rows of each venue.
      select row.*, r.held, r.share, r.is_troubled as is_behind, false as was_held_back
      from ready r cross join lateral (
        select p.id, p.venue_id, p.available_at, p.created_at, p.retry_after from public.prebookings p
        where p.status = 'pending' and p.venue_id = r.id and p.fresh and p.available_at <= t + v_lead and p.expires_at > t
          and (p.venue_id, p.available_at) not in (select b.venue_id, b.available_at from busy b)
          and (not r.has_logins or (p.venue_id, lower(p.user_email)) in (select o.venue_id, o.user_email from openable o))
          and p.id <> all (v_passed)
        order by p.available_at, p.created_at, p.id limit v_per_venue) row
      union all
      -- The rows of each venue that could not get on before. The one that waits longest comes first, so that ten rows that
      -- never get on do not keep the others waiting.
      select row.*, r.held, r.share, true, true
      from ready r cross join lateral (
        select p.id, p.venue_id, p.available_at, p.created_at, p.retry_after from public.prebookings p
        where p.status = 'pending' and p.venue_id = r.id and not p.fresh and p.available_at <= t + v_lead and p.expires_at > t
          and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)
          and (p.retry_after is null or p.retry_after <= t or p.retry_after > v_back_off)
          and (p.venue_id, p.available_at) not in (select b.venue_id, b.available_at from busy b)
          and (not r.has_logins or (p.venue_id, lower(p.user_email)) in (select o.venue_id, o.user_email from openable o))
          and p.id <> all (v_passed)
        order by p.retry_after nulls first, p.available_at, p.created_at, p.id limit v_behind) row),
    behind as (
      -- What stands behind, each venue's within its share.
      select d.* from (
        select due.*, row_number() over (
            partition by venue_id order by was_held_back, retry_after nulls first, available_at, created_at, id) as number
        from due where is_behind) d
      where d.number <= d.share),
    queue as (
      -- Each venue's queue, after what is held already. Of what is behind, every venue's first comes before any second.
      select q.*, q.held + row_number() over (
          partition by q.venue_id order by q.is_behind, q.was_held_back, q.available_at, q.created_at, q.id) as position
      from (
        select id, venue_id, available_at, created_at, held, is_behind, was_held_back from due where not is_behind
        union all
        select id, venue_id, available_at, created_at, held, is_behind, was_held_back from (
          select behind.*, row_number() over (order by number, available_at, created_at, id) as number_of_all from behind) b
        where b.number_of_all <= v_behind_all - (select coalesce(sum(behind), 0) from held)) q),
    slots as (
      -- max(available_at, the slot before + stagger), the first from t on. What opened before t is not reckoned with, because the
      -- earliest instant that there is minus a stagger is an error. Venues are ordered by the first of their queue.
      select q.*, position * v_stagger + greatest(t - v_stagger, max(greatest(q.available_at, t) - position * v_stagger) over so_far) as slot,
             first_value(q.available_at) over so_far as first_opens, first_value(q.created_at) over so_far as first_created,
             first_value(q.id) over so_far as first_id
      from queue q window so_far as (partition by venue_id order by position)),
    batches as (
      -- Forty of every venue first, then forty more: no venue starves another. Venue after venue, so that other invocations
      -- find openings that nobody fires at.
      select s.*, (position - 1) / 40 as batch, row_number() over (
        order by is_behind, (position - 1) / 40, first_opens, first_created, first_id, position) as nth
      from slots s where slot <= t + v_within),
    whole_batches as (
      -- A venue's first forty are taken whole or left to another invocation, which comes at once: half of them would own the
      -- opening, and the rest would wait for the end of this run. So nothing behind is taken where fresh rows are left, either:
      -- all fresh rows come before it.
      select b.*, h.room, nth <= h.room and (
          batch > 0 or is_behind or max(nth) over batch <= h.room or (v_round = 1 and min(nth) over batch = 1)) as fits
      from batches b, (select greatest(v_limit - coalesce(sum(n), 0), 0) as room from held) h
      window batch as (partition by venue_id, is_behind, (position - 1) / 40)),
    chosen as materialized (select id from whole_batches where fits),
    free as materialized (
      select p.id from public.prebookings p
      where p.id = any (array(select id from chosen)) and p.status = 'pending'
        and (p.claimed_until is null or p.claimed_until <= t or p.claimed_until > v_longest)
      for no key update skip locked),
    taken as (
      -- An expired claim: its holder died, perhaps after sending. If its run was not closed, calls may have been made that
      -- nobody has noted: then the blocks do not account for all of them.
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
  -- Also when nothing is due: failures leave rows too.
  delete from public.prebooking_runs where instance_id in (
    select instance_id from public.prebooking_runs where opened_at < t - interval '30 days'
    order by opened_at limit 100 for update skip locked);
  perform public.prebooking_prune(t);

  -- First answer and repeated answer are the same query.
  return (
    select jsonb_build_object(
      'now', public.prebooking_clock(),
      'expired', coalesce((select r.expired from public.prebooking_runs r where r.instance_id = p_instance), 0),
      'unknown', coalesce((select r.unknown from public.prebooking_runs r where r.instance_id = p_instance), 0),
      -- A row that was cancelled or settled meanwhile is not counted.
      'locked', (select count(*) from public.prebookings p where p.id = any (v_passed) and p.status = 'pending'),
      'no_login', n_no_login,
      'rows', coalesce(jsonb_agg(jsonb_build_object(
        'id', p.id, 'user_email', p.user_email, 'booking_data', p.booking_data::text, 'available_at', p.available_at,
        'expires_at', p.expires_at, 'created_at', p.created_at, 'maybe_sent', p.maybe_sent, 'attempts', p.attempts,
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

-- For how long nobody could claim, asked without the lock: {"now", "last_claim_at"}, null if there was never a claim. A claim
-- by hand is known by its run, if it had work.
create function public.claims_since_v1()
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select jsonb_build_object('now', public.prebooking_clock(), 'last_claim_at', greatest(
    (select last_tick_at from public.prebooking_heartbeat), (select max(opened_at) from public.prebooking_runs)))
$$;

revoke all on function public.prebooking_clock, public.prebooking_lock, public.claim_due_prebookings_v1, public.claims_since_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_clock, public.prebooking_lock, public.claim_due_prebookings_v1, public.claims_since_v1
  to service_role;
notify pgrst, 'reload schema';
