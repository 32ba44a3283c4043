-- The functions that end a claim (complete, fail, release, finish the run) and cancel an unclaimed prebooking.
-- Every update states what must still be true (my claim, still pending), and returns whether it was.

-- Stores that the venue gave a clear answer at p_at: troubled_since is cleared, unless the venue blocked us or could not be
-- reached after p_at, and answered_at is set, at most once per second. If another transaction has locked the venue, nothing is
-- stored. A troubled_at later than the clock was written while the clock was ahead, and does not count.
create function public.prebooking_venue_answered(p_venue uuid, p_at timestamptz) returns void
language sql volatile security invoker set search_path = '' as $$
  update public.venues
  set troubled_since = case when troubled_at between p_at and public.prebooking_clock() then troubled_since end,
      answered_at = greatest(answered_at, p_at)
  where id in (
    select id from public.venues
    where id = p_venue and (troubled_since is not null or answered_at is null or answered_at < p_at - interval '1 second')
    for no key update skip locked)
$$;

-- Returns true if the row is completed by this claim, now or by an earlier try; false if this claim no longer held the row.
-- p_attempts is the number of this run's calls; p_answered_at is null if the result is not an answer of the venue.
create function public.complete_prebooking_v1(
  p_id uuid, p_instance uuid, p_outcome text, p_attempts int, p_booking_id text, p_fired_at timestamptz, p_answered_at timestamptz)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_venue uuid;
begin
  update public.prebookings p
  set status = 'completed', outcome = p_outcome, booking_id = p_booking_id, attempts = p.attempts + p_attempts,
      fired_at = coalesce(p.fired_at, p_fired_at), answered_at = p_answered_at, settled_at = public.prebooking_clock(),
      settled_by = p_instance, claimed_by = null, claimed_until = null, turn_until = null
  where p.id = p_id and p.claimed_by = p_instance and p.status = 'pending' returning p.venue_id into v_venue;
  if found then
    perform public.prebooking_venue_answered(v_venue, least(p_answered_at, public.prebooking_clock())) where p_answered_at is not null;
    return true;
  end if;
  -- A new statement, so that it sees the result of an earlier, slow try.
  return coalesce((
    select settled_by = p_instance and status = 'completed' and outcome = p_outcome from public.prebookings where id = p_id), false);
end $$;

create function public.fail_prebooking_v1(
  p_id uuid, p_instance uuid, p_outcome text, p_attempts int, p_error_message text, p_fired_at timestamptz, p_answered_at timestamptz)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_venue uuid;
begin
  if p_outcome in ('unknown', 'expired') then
    raise exception 'a row may be failed as % only by the claim function, after expires_at', p_outcome using errcode = '22023';
  end if;
  update public.prebookings p
  set status = 'failed', outcome = p_outcome, error_message = left(p_error_message, 300), attempts = p.attempts + p_attempts,
      fired_at = coalesce(p.fired_at, p_fired_at), answered_at = p_answered_at, settled_at = public.prebooking_clock(),
      settled_by = p_instance, claimed_by = null, claimed_until = null, turn_until = null
  where p.id = p_id and p.claimed_by = p_instance and p.status = 'pending' returning p.venue_id into v_venue;
  if found then
    perform public.prebooking_venue_answered(v_venue, least(p_answered_at, public.prebooking_clock())) where p_answered_at is not null;
    return true;
  end if;
  return coalesce((
    select settled_by = p_instance and status = 'failed' and outcome = p_outcome from public.prebookings where id = p_id), false);
end $$;

-- Writes the outcomes of several rows of one run, each as complete_prebooking_v1 or fail_prebooking_v1 does.
--
--   p_results  [{"id", "outcome", "attempts", "fired_at", "answered_at", and "booking_id" or "error_message"}]
--              A result with "booking_id", even null, is completed; any other one is failed.
--
-- Returns one value per result, in their order: true or false, as these functions return it, or null if the row was not written
-- and has to be settled alone. That is a row that another transaction has locked, or whose values are refused, or every further
-- row once this has taken 0.3 s, because a row can wait for a lock on a table. So no row prevents the others, or delays them much.
create function public.settle_prebookings_v1(p_instance uuid, p_results jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  r jsonb; v_id uuid; v_settled boolean; v_all jsonb := '[]';
  v_end timestamptz := public.prebooking_clock() + interval '0.3 seconds';
begin
  for r in select value from jsonb_array_elements(p_results) loop
    if public.prebooking_clock() > v_end then
      v_all := v_all || 'null';
      continue;
    end if;
    v_settled := null;
    begin
      v_id := (r ->> 'id')::uuid;
      perform from public.prebookings
      where id = v_id and claimed_by = p_instance and status = 'pending' for no key update skip locked;
      if found or not exists (
        select 1 from public.prebookings where id = v_id and claimed_by = p_instance and status = 'pending') then
        if r ? 'booking_id' then
          v_settled := public.complete_prebooking_v1(v_id, p_instance, r ->> 'outcome', (r ->> 'attempts')::int,
            r ->> 'booking_id', (r ->> 'fired_at')::timestamptz, (r ->> 'answered_at')::timestamptz);
        else
          v_settled := public.fail_prebooking_v1(v_id, p_instance, r ->> 'outcome', (r ->> 'attempts')::int,
            r ->> 'error_message', (r ->> 'fired_at')::timestamptz, (r ->> 'answered_at')::timestamptz);
        end if;
      end if;
    exception when others then
      v_settled := null;
    end;
    v_all := v_all || coalesce(to_jsonb(v_settled), 'null');
  end loop;
  return v_all;
end $$;

-- Releases rows that this run has not sent, because their venue blocks us or cannot be reached. It also pauses the venue for
-- p_pause_seconds, in the same transaction, so that no other invocation calls it meanwhile. Rows in doubt stay in doubt.
-- Returns the number of released rows; a row that another transaction has locked is released at the end of the run.
create function public.release_prebookings_v1(p_instance uuid, p_ids uuid[], p_blocked_venue uuid, p_pause_seconds int default 300)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); n int;
begin
  with mine as materialized (
    select id from public.prebookings
    where id = any (p_ids) and claimed_by = p_instance and status = 'pending' for no key update skip locked)
  update public.prebookings p set claimed_by = null, claimed_until = null, turn_until = null
  from mine where p.id = mine.id;
  get diagnostics n = row_count;
  begin
    update public.venues
    set paused_until = greatest(paused_until, t + least(greatest(coalesce(p_pause_seconds, 300), 0), 3600) * interval '1 second'),
        troubled_since = coalesce(troubled_since, t), troubled_at = t
    where id = p_blocked_venue;
  exception when lock_not_available or deadlock_detected then
    -- Another transaction has locked the venue, and may wait for one of the rows: they are released without a pause.
    null;
  end;
  return n;
end $$;

-- Ends a run: releases every row that this invocation holds, except rows that may have been sent.
--
--   p_sent     the results of rows that are not settled:
--              [{"id", "attempts", "fired_at", "verdict", "unclear", "if_not_booked"}], attempts and unclear over all runs.
--   p_summary  the run's answer
--
-- The verdicts, and what happens to the row:
--   unsure         sent, without a clear answer: it stays claimed until its lease is over, then a later run queries the venue
--   blocked        sent, and the venue blocks us: the same, and the count of the row's blocks starts again at 1
--   blocked_alone  sent, and the venue blocks this row, but has answered others since the count started: the count plus 1
--   too_early      the venue's clear answer: it is released, and called again after a minute
--   logged_out     the venue's clear answer "log in again": it is released
--   not_ready      not sent, because it could not be prepared: it is released
--   cannot_tell    the venue gave no clear answer to a query about an earlier call: it is released, still in doubt
--   missing        the same, because the venue's full list does not contain the class
--   not_booked     the venue's answer to a query after the lease: it is released, and no longer in doubt
-- A row without progress is not claimed for 1, then 2, 5 and 15 minutes. A row that is not in p_sent is released unchanged.
--
-- Returns {"released", "locked"}: the number of released rows, and of rows that are still held, because another transaction
-- has locked them. As long as there are locked rows, the run is not closed, and the caller repeats this; a repeated call
-- changes nothing else. It takes the lock of the claims and closes the run, so that a delayed retry of its claim takes
-- nothing.
create function public.finish_run_v1(p_instance uuid, p_sent jsonb, p_summary jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  t timestamptz;
  v_ended uuid[];
  v_answered jsonb;
  n_released int;
  n_locked int;
begin
  perform public.prebooking_lock();
  t := public.prebooking_clock();
  select released into n_released from public.prebooking_runs where instance_id = p_instance and closed_at is not null;
  if found then
    return jsonb_build_object('released', n_released, 'locked', 0);
  end if;
  with mine as materialized (
    select id from public.prebookings where claimed_by = p_instance and status = 'pending' for no key update skip locked),
  sent as materialized (
    select * from jsonb_to_recordset(p_sent) as s(
      id uuid, attempts int, fired_at timestamptz, verdict text, unclear int, if_not_booked text)),
  said as (
    -- The verdict of each row. After an unknown verdict the row stays leased, because that is always safe.
    select mine.id, s.attempts, s.fired_at, s.unclear, s.if_not_booked, v.verdict,
           v.verdict not in ('unsent', 'too_early', 'logged_out', 'not_ready', 'cannot_tell', 'missing', 'not_booked') as stays,
           v.verdict in ('logged_out', 'not_ready', 'cannot_tell', 'missing') as is_setback,
           v.verdict in ('too_early', 'logged_out') as is_answer
    from mine left join sent s on s.id = mine.id
    cross join lateral (select case when s.id is null then 'unsent' else coalesce(s.verdict, 'unsure') end as verdict) v),
  ended as (
    update public.prebookings p
    set attempts = greatest(p.attempts, s.attempts), unclear = greatest(p.unclear, s.unclear),
        fired_at = coalesce(p.fired_at, s.fired_at), if_not_booked = coalesce(s.if_not_booked, p.if_not_booked),
        claimed_by    = case when s.stays then p.claimed_by end,
        claimed_until = case when s.stays then p.claimed_until end,
        turn_until    = case when s.stays then least(p.turn_until, t) end,
        maybe_sent    = p.maybe_sent and s.verdict <> 'not_booked',
        early_since   = case when s.verdict = 'too_early' then least(p.early_since, t) else p.early_since end,
        -- After a call or a "not booked" the class exists at the venue, so the time is cleared.
        missing_since = case when s.verdict = 'missing' then least(p.missing_since, t)
                             when s.verdict in ('unsent', 'not_ready', 'cannot_tell') then p.missing_since end,
        -- In a repeated call the attempts are stored already, so the block is not counted twice.
        blocks        = case when s.verdict = 'blocked' then 1
                             when s.verdict = 'blocked_alone' and p.attempts < s.attempts then p.blocks + 1 else p.blocks end,
        blocked_at    = case when s.verdict = 'blocked' then t else p.blocked_at end,
        setbacks      = case when s.verdict = 'not_booked' then 0 else p.setbacks + s.is_setback::int end,
        retry_after   = case
          when s.is_setback then t + (array[1, 2, 5, 15])[least(p.setbacks + 1, 4)] * interval '1 minute'
          when s.verdict = 'too_early' then t + interval '55 seconds'
          when s.verdict <> 'not_booked' then p.retry_after end
    from said s where p.id = s.id returning p.id, p.venue_id, s.stays, s.is_answer, s.fired_at)
  -- The time of an answer is not known here. It is not before the row's first call in this run.
  select coalesce(array_agg(id), '{}'), count(*) filter (where not stays), (
    select jsonb_object_agg(a.venue_id, a.called_at) from (
      select venue_id, max(least(fired_at, t)) as called_at from ended where is_answer group by venue_id) a)
  into v_ended, n_released, v_answered from ended;
  perform public.prebooking_venue_answered(key::uuid, value::timestamptz) from jsonb_each_text(v_answered);
  select count(*) into n_locked from public.prebookings
  where claimed_by = p_instance and status = 'pending' and id <> all (v_ended);

  insert into public.prebooking_runs as r (instance_id, opened_at, closed_at, released, summary)
    values (p_instance, t, case when n_locked = 0 then t end, n_released, p_summary)
    on conflict (instance_id) do update
    set closed_at = excluded.closed_at, released = r.released + excluded.released, summary = excluded.summary
  returning r.released into n_released;
  return jsonb_build_object('released', n_released, 'locked', n_locked);
end $$;

-- Cancels a member's prebooking. Returns 'cancelled', or the reason for not doing it: 'being_booked' (its request may have
-- reached the venue), 'settled' or 'not_found'.
create function public.cancel_prebooking_v1(p_id uuid, p_user_email text)
returns text language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare answer text;
begin
  update public.prebookings set status = 'cancelled', settled_at = public.prebooking_clock()
  where id = p_id and lower(user_email) = public.prebooking_member(p_user_email) and status = 'pending' and claimed_by is null and not maybe_sent;
  if found then
    return 'cancelled';
  end if;
  select case status when 'pending' then 'being_booked' when 'cancelled' then 'cancelled' else 'settled' end into answer
  from public.prebookings where id = p_id and lower(user_email) = public.prebooking_member(p_user_email);
  return coalesce(answer, 'not_found');
end $$;

revoke all on function public.prebooking_venue_answered, public.complete_prebooking_v1, public.fail_prebooking_v1, public.settle_prebookings_v1, public.release_prebookings_v1,
  public.finish_run_v1, public.cancel_prebooking_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_venue_answered, public.complete_prebooking_v1, public.fail_prebooking_v1, public.settle_prebookings_v1, public.release_prebookings_v1,
  public.finish_run_v1, public.cancel_prebooking_v1 to service_role;
notify pgrst, 'reload schema';
