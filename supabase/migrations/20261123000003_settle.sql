-- What ends a claim: completed, failed, released, the end of the run; and what ends a prebooking nobody has claimed: cancelled.
-- Every update says what must still be true (my claim, still pending); the answer says whether it was.

-- true: it is so, by this claim, also when asked twice. false: the row was no longer ours; touch nothing more.
create function public.complete_prebooking_v1(
  p_id uuid, p_instance uuid, p_outcome text, p_attempts int, p_booking_id text, p_fired_at timestamptz, p_answered_at timestamptz)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  update public.prebookings p
  set status = 'completed', outcome = p_outcome, booking_id = p_booking_id, attempts = p.attempts + p_attempts,
      fired_at = coalesce(p.fired_at, p_fired_at), answered_at = p_answered_at, settled_at = public.prebooking_clock(),
      settled_by = p_instance, claimed_by = null, claimed_until = null, turn_until = null
  where p.id = p_id and p.claimed_by = p_instance and p.status = 'pending';
  return found or exists (                                 -- a new statement: it sees an earlier try of ours that was slow
    select 1 from public.prebookings where id = p_id and settled_by = p_instance and status = 'completed' and outcome = p_outcome);
end $$;

create function public.fail_prebooking_v1(
  p_id uuid, p_instance uuid, p_outcome text, p_attempts int, p_error_message text, p_fired_at timestamptz, p_answered_at timestamptz)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  if p_outcome in ('unknown', 'expired') then
    raise exception 'a claim may not fail a row as %: only the passing of expires_at does', p_outcome using errcode = '22023';
  end if;
  update public.prebookings p
  set status = 'failed', outcome = p_outcome, error_message = left(p_error_message, 300), attempts = p.attempts + p_attempts,
      fired_at = coalesce(p.fired_at, p_fired_at), answered_at = p_answered_at, settled_at = public.prebooking_clock(),
      settled_by = p_instance, claimed_by = null, claimed_until = null, turn_until = null
  where p.id = p_id and p.claimed_by = p_instance and p.status = 'pending';
  return found or exists (
    select 1 from public.prebookings where id = p_id and settled_by = p_instance and status = 'failed' and outcome = p_outcome);
end $$;

-- Some rows go back to the queue at once, surely unsent (an older doubt stays), because their venue blocks us;
-- the venue is left alone for five minutes, in the same transaction, so that no other invocation runs into it meanwhile.
create function public.release_prebookings_v1(p_instance uuid, p_ids uuid[], p_blocked_venue uuid)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare n int;
begin
  update public.venues set paused_until = greatest(paused_until, public.prebooking_clock() + interval '5 minutes')
  where id = p_blocked_venue;
  with mine as materialized (                              -- locked in one order: two releases cannot deadlock
    select id from public.prebookings
    where id = any (p_ids) and claimed_by = p_instance and status = 'pending' order by id for no key update)
  update public.prebookings p set claimed_by = null, claimed_until = null, turn_until = null
  from mine where p.id = mine.id;
  get diagnostics n = row_count;
  return n;
end $$;

-- The end of a run, whatever came before it: everything this invocation holds goes back, but for what may have been sent.
--
--   p_sent     what it knows of rows that were called and are not settled: [{"id", "attempts", "fired_at", "too_early", "leased"}].
--              leased: no clear answer; the row stays claimed until its lease is over, then somebody asks the venue.
--              too_early: the venue said so, clearly; the row goes back and the run is counted.
--   p_summary  what the run answered
--
-- Answers how many rows went back. Asked again it changes nothing and answers the same. It takes the claims' lock and marks
-- the run as closed: a try of the claim that was thought lost and is carried out only now takes nothing.
create function public.finish_run_v1(p_instance uuid, p_sent jsonb, p_summary jsonb)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz; n int;
begin
  perform public.prebooking_lock();
  t := public.prebooking_clock();
  select released into n from public.prebooking_runs where instance_id = p_instance and closed_at is not null;
  if found then
    return n;
  end if;
  with mine as materialized (
    select id from public.prebookings where claimed_by = p_instance and status = 'pending' order by id for no key update),
  sent as materialized (
    select * from jsonb_to_recordset(p_sent) as s(id uuid, attempts int, fired_at timestamptz, too_early boolean, leased boolean)),
  ended as (
    update public.prebookings p
    set attempts = p.attempts + coalesce(s.attempts, 0), fired_at = coalesce(p.fired_at, s.fired_at),
        early_runs = p.early_runs + coalesce(s.too_early, false)::int,
        claimed_by    = case when s.leased then p.claimed_by end,
        claimed_until = case when s.leased then p.claimed_until end,
        turn_until    = case when s.leased then least(p.turn_until, t) end
    from mine left join sent s on s.id = mine.id
    where p.id = mine.id returning s.leased)
  select count(*) filter (where leased is not true) into n from ended;
  insert into public.prebooking_runs as r (instance_id, opened_at, closed_at, released, summary)
    values (p_instance, t, t, n, p_summary)
    on conflict (instance_id) do update
    set closed_at = excluded.closed_at, released = excluded.released, summary = excluded.summary;
  return n;
end $$;

-- A member thinks better of it. 'cancelled', or why not: 'being_booked' (its request may be at the venue), 'settled', 'not_found'.
create function public.cancel_prebooking_v1(p_id uuid, p_user_email text)
returns text language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare answer text;
begin
  update public.prebookings set status = 'cancelled', settled_at = public.prebooking_clock()
  where id = p_id and lower(user_email) = lower(p_user_email) and status = 'pending' and claimed_by is null and not maybe_sent;
  if found then
    return 'cancelled';
  end if;
  select case status when 'pending' then 'being_booked' when 'cancelled' then 'cancelled' else 'settled' end into answer
  from public.prebookings where id = p_id and lower(user_email) = lower(p_user_email);
  return coalesce(answer, 'not_found');
end $$;

revoke all on function public.complete_prebooking_v1, public.fail_prebooking_v1, public.release_prebookings_v1,
  public.finish_run_v1, public.cancel_prebooking_v1 from public, anon, authenticated, service_role;
grant execute on function public.complete_prebooking_v1, public.fail_prebooking_v1, public.release_prebookings_v1,
  public.finish_run_v1, public.cancel_prebooking_v1 to service_role;
notify pgrst, 'reload schema';
