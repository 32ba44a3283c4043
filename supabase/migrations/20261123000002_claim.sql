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
--
-- Answers {"now", "expired", "unknown", "rows": [...]}: one value, so no row limit between here and the caller cuts it.
-- booking_data comes as text, to be read row by row: what no reader can take spoils its own row and not the answer.
-- session is the member's login at the venue, sealed, where there is one: so nobody has to ask for it while a class opens.
-- expired and unknown count what this invocation's claims have ended because the class has begun.
--
-- Lock, then clock, then new statements: what an earlier claim did is seen only by a snapshot taken after the lock.
-- The same logic in a single statement decides by the snapshot from before its wait, and claims twice.
create function public.claim_due_prebookings_v1(
  p_instance uuid, p_providers text[], p_limit int, p_fire_within_ms int, p_stagger_ms int,
  p_lead_ms int, p_lease_ms int, p_turn_ms int, p_by_hand boolean default false)
returns jsonb language plpgsql volatile security invoker set search_path = ''
set lock_timeout = '1500ms'                                -- less than the caller's patience: "busy" must reach it as an answer
set jit = off as $$                                        -- compiling the plan would cost a fresh connection 50 to 110 ms a call
declare
  ms           constant interval := '1 millisecond';
  v_limit      int      := least(greatest(coalesce(p_limit, 0), 0), 500);
  v_stagger    interval := greatest(coalesce(p_stagger_ms, 50), 1) * ms;
  v_within     interval := coalesce(p_fire_within_ms, 0) * ms;
  v_lead       interval := least(greatest(coalesce(p_lead_ms, 0), 0), 30000) * ms;
  v_lease      interval := least(greatest(coalesce(p_lease_ms, 30000), 1000), 300000) * ms;
  v_turn       interval := least(greatest(coalesce(p_turn_ms, 8000), 0) * ms, v_lease);
  v_per_venue  int      := least(greatest(coalesce(p_fire_within_ms, 0), -1) / greatest(coalesce(p_stagger_ms, 50), 1) + 1, 200);
  t            timestamptz;
  v_began      timestamptz;
  v_claim_ms   int;
  n_expired    int;
  n_unknown    int;
  n_claimed    int;
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
  if not p_by_hand then
    insert into public.prebooking_heartbeat as h (last_tick_at) values (t)
      on conflict (only_one) do update set last_tick_at = excluded.last_tick_at;
  end if;
  if exists (select 1 from public.prebooking_runs where instance_id = p_instance and closed_at is not null) then
    return jsonb_build_object('now', t, 'expired', 0, 'unknown', 0, 'rows', '[]'::jsonb);  -- a late try of a claim given up long ago
  end if;

  with late as materialized (
    select id from public.prebookings
    where status = 'pending' and expires_at <= t and (claimed_until is null or claimed_until <= t)
    order by expires_at limit 500 for no key update skip locked),
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

  with held as materialized (                              -- what it has already stands before what it takes now
    select venue_id, count(*) as n from public.prebookings
    where status = 'pending' and claimed_by = p_instance and claimed_until > t group by venue_id),
  busy as materialized (                                   -- openings where another invocation has its turn
    select venue_id, available_at from public.prebookings
    where status = 'pending' and claimed_by is not null and claimed_by <> p_instance and turn_until > t),
  line as materialized (                                   -- each venue's line: who stands where
    select x.*, coalesce(h.n, 0) + row_number() over (partition by v.id order by x.available_at, x.created_at, x.id) as place
    from public.venues v left join held h on h.venue_id = v.id cross join lateral (
      select p.id, p.venue_id, p.available_at, p.created_at from public.prebookings p
      where p.status = 'pending' and p.venue_id = v.id and p.available_at <= t + v_lead and p.expires_at > t
        and (p.claimed_until is null or p.claimed_until <= t)
        and (p.venue_id, p.available_at) not in (select b.venue_id, b.available_at from busy b)
      order by p.available_at, p.created_at, p.id limit v_per_venue) x
    where v.enabled and (v.paused_until is null or v.paused_until <= t) and v.provider = any (p_providers)),
  slots as (                                               -- max(available_at, the slot before + stagger), the first from t on
    select l.*, place * v_stagger + greatest(t - v_stagger, max(l.available_at - place * v_stagger) over venue) as slot,
           first_value(row(l.available_at, l.created_at, l.id)) over venue as head
    from line l window venue as (partition by venue_id order by place)),
  turns as (                                               -- forty of every venue first, then forty more: no venue starves another;
    select *, (place - 1) / 40 as forty, row_number() over (order by (place - 1) / 40, head, place) as nth
    from slots where slot <= t + v_within),                -- venue after venue, so that other invocations find openings nobody fires at
  wholes as (                                              -- the first forty are taken whole or left to others, who come at once: half
    select *, min(nth) over forties as first, max(nth) over forties as last  -- of them would own the opening, and the rest wait for
    from turns window forties as (partition by venue_id, forty)),            -- the end of this run
  due as materialized (
    select w.* from wholes w, (select greatest(v_limit - coalesce(sum(n), 0), 0) as room from held) h
    where w.nth <= h.room and (w.last <= h.room or w.first = 1 or w.forty > 0)),
  free as materialized (                                   -- waits for nobody who edits a row just now
    select p.id from public.prebookings p
    where p.id = any (array(select id from due)) and p.status = 'pending' and (p.claimed_until is null or p.claimed_until <= t)
    for no key update skip locked),
  stop as (                                                -- ... and takes nothing behind such a row
    select venue_id, min(place) as place from due where id not in (select id from free) group by venue_id)
  update public.prebookings p
  set maybe_sent = p.maybe_sent or p.claimed_by is not null,  -- an expired claim: its holder died, perhaps after sending
      claimed_by = p_instance, claimed_until = t + v_lease, turn_until = t + v_turn
  from due d join free f on f.id = d.id left join stop s on s.venue_id = d.venue_id
  where p.id = d.id and (s.place is null or d.place < s.place);
  get diagnostics n_claimed = row_count;

  if n_claimed + n_expired + n_unknown > 0 then
    v_claim_ms := extract(epoch from clock_timestamp() - v_began) * 1000;
    insert into public.prebooking_runs as r (instance_id, opened_at, claimed, expired, unknown, claim_ms)
      values (p_instance, t, n_claimed, n_expired, n_unknown, v_claim_ms)
      on conflict (instance_id) do update
      set claimed = r.claimed + excluded.claimed, expired = r.expired + excluded.expired, unknown = r.unknown + excluded.unknown,
          claim_ms = greatest(r.claim_ms, excluded.claim_ms);
  end if;
  delete from public.prebooking_runs where instance_id in (  -- also when nothing is due: failures leave rows too
    select instance_id from public.prebooking_runs where opened_at < t - interval '30 days' order by opened_at limit 100);
  perform public.prebooking_prune(t);

  return (                                                 -- first answer and repeated answer are the same query
    select jsonb_build_object(
      'now', public.prebooking_clock(),
      'expired', coalesce((select r.expired from public.prebooking_runs r where r.instance_id = p_instance), 0),
      'unknown', coalesce((select r.unknown from public.prebooking_runs r where r.instance_id = p_instance), 0),
      'rows', coalesce(jsonb_agg(jsonb_build_object(
        'id', p.id, 'user_email', p.user_email, 'booking_data', p.booking_data::text, 'available_at', p.available_at,
        'expires_at', p.expires_at, 'created_at', p.created_at, 'maybe_sent', p.maybe_sent, 'early_runs', p.early_runs, 'attempts', p.attempts,
        'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
          'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent),
        'session', case when s.sealed is not null then
          jsonb_build_object('sealed', s.sealed, 'version', s.version, 'refreshed_at', s.refreshed_at) end)
        order by p.available_at, p.created_at, p.id), '[]'))
    from public.prebookings p join public.venues v on v.id = p.venue_id
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email) and s.expired_at is null
    where p.status = 'pending' and p.claimed_by = p_instance and p.claimed_until > t);
end $$;

revoke all on function public.prebooking_clock, public.prebooking_lock, public.claim_due_prebookings_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_clock, public.prebooking_lock, public.claim_due_prebookings_v1 to service_role;
notify pgrst, 'reload schema';
