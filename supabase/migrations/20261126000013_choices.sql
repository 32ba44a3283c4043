-- Second choices. A prebooking with stands_after is a later choice of one request: it waits for the prebooking named there, the
-- earlier choice. The transaction that ends the earlier choice also decides about the later one:
--   it failed because of its class    the later one is promoted: from then on it is called like any other prebooking
--   it ended in any other way         the later one is cancelled, and so are those after it
-- Nothing else promotes a choice. So at most one choice of a request gets a place, and a place on a waiting list counts: a
-- later choice is called only after the venue's clear answer that the earlier one has none.

-- Returns whether this prebooking has ended in the way that promotes the next choice. A class that is gone, while a call may
-- have reached the venue, is no clear answer: the place could exist under another number.
create function public.prebooking_promotes_next(p public.prebookings) returns boolean
language sql immutable security invoker set search_path = '' as $$
  select p.status = 'failed' and p.outcome in ('full', 'class_gone', 'too_late', 'conflict_same_hour')
    and not (p.outcome = 'class_gone' and p.maybe_sent)
$$;

-- Returns why the choice after this prebooking is cancelled, for its error_message. Choices after that one get the same text.
create function public.prebooking_why_cancelled(p public.prebookings) returns text
language sql immutable security invoker set search_path = '' as $$
  select case
    when p.status is null then 'not tried: the earlier choice is gone.'
    when p.outcome = 'waitlisted' then 'not needed: the earlier choice has a place on the waiting list.'
    when p.status = 'completed' then 'not needed: the earlier choice is booked.'
    when p.status = 'cancelled' and p.stands_after is not null and p.error_message ~ '^not (needed|tried): ' then p.error_message
    when p.status = 'cancelled' then 'not tried: the earlier choice was cancelled.'
    when p.outcome in ('unknown', 'class_gone') then 'not tried: the earlier choice may have a place, check at the venue.'
    when p.outcome = 'expired' then 'not tried: the earlier class began before it could be booked.'
    else 'not tried: the earlier choice ended as ' || p.outcome || ', which is not about its class.' end
$$;

-- Checks a new later choice. The earlier one must be a pending prebooking of the same member at the same venue, with at most
-- two before it. Because it exists first, choices cannot stand in a circle. It is locked, so that it cannot end before this
-- row is visible to the transaction that ends it.
create function public.prebookings_check_choice() returns trigger language plpgsql set search_path = '' as $$
declare v_earlier public.prebookings; v_number int;
begin
  select * into v_earlier from public.prebookings where id = new.stands_after for share;
  with recursive earlier as (
    select v_earlier.stands_after as next, 1 as number
    union all
    select p.stands_after, number + 1 from earlier join public.prebookings p on p.id = earlier.next where number < 4)
  select max(number) into v_number from earlier;
  if v_earlier.status is distinct from 'pending' then
    raise exception 'the earlier choice % is not pending: add this prebooking without it', new.stands_after
      using errcode = '23514', constraint = 'choice_after_a_pending_one';
  elsif (v_earlier.venue_id, lower(v_earlier.user_email)) is distinct from (new.venue_id, lower(new.user_email)) then
    raise exception 'the earlier choice % is of another member or venue', new.stands_after
      using errcode = '23514', constraint = 'choice_of_the_same_member';
  elsif v_number > 3 then
    raise exception 'a prebooking can have three later choices, not more'
      using errcode = '23514', constraint = 'three_later_choices';
  elsif new.promoted_at is not null or new.status <> 'pending' then
    raise exception 'a later choice is added pending, and not promoted'
      using errcode = '23514', constraint = 'choice_is_added_waiting';
  end if;
  return new;
end $$;
create trigger prebookings_new_choice before insert on public.prebookings
  for each row when (new.stands_after is not null) execute function public.prebookings_check_choice();

-- Refuses edits that break the rule: of the order, of a promotion, and of the member or venue of one choice alone.
create function public.prebookings_keep_choice() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.stands_after is distinct from old.stands_after then
    raise exception 'prebooking % keeps its place among the choices: cancel it and add another', old.id using errcode = 'PT409';
  end if;
  if new.promoted_at is distinct from old.promoted_at and (old.promoted_at is not null or not exists (
      select from public.prebookings e where e.id = new.stands_after and public.prebooking_promotes_next(e))) then
    raise exception 'choice % is promoted only when the earlier one was refused because of its class', old.id using errcode = 'PT409';
  end if;
  if (new.id, new.venue_id, lower(new.user_email)) is distinct from (old.id, old.venue_id, lower(old.user_email))
      and (old.stands_after is not null
        or exists (select from public.prebookings p where p.stands_after = old.id and p.status = 'pending')) then
    raise exception 'prebooking % is one of several choices: their member and venue cannot be changed', old.id using errcode = 'PT409';
  end if;
  return new;
end $$;
create trigger prebookings_choice_kept before update on public.prebookings
  for each row when (old.status = 'pending' and (new.id, new.venue_id, new.user_email, new.stands_after, new.promoted_at)
    is distinct from (old.id, old.venue_id, old.user_email, old.stands_after, old.promoted_at))
  execute function public.prebookings_keep_choice();

-- Promotes or cancels the choice after a prebooking that ends. To promote, it waits for a lock on that choice. To cancel, it
-- does not wait, because the claim ends rows while it holds the lock of all claims: a locked choice goes on waiting, which is
-- safe, and prebooking_repair_choices cancels it. Each cancelled choice executes this trigger for the one after it.
create function public.prebookings_end_choice() returns trigger language plpgsql set search_path = '' as $$
declare v_next uuid;
begin
  select id into v_next from public.prebookings where stands_after = new.id and status = 'pending' and promoted_at is null;
  if not found then
    return null;
  end if;
  if public.prebooking_promotes_next(new) then
    update public.prebookings set promoted_at = new.settled_at where id = v_next and status = 'pending' and promoted_at is null;
  else
    update public.prebookings
    set status = 'cancelled', settled_at = new.settled_at, error_message = public.prebooking_why_cancelled(new)
    where id in (
      select p.id from public.prebookings p
      where p.id = v_next and p.status = 'pending' and p.promoted_at is null for no key update skip locked);
  end if;
  return null;
end $$;
create trigger prebookings_choice_ended after update on public.prebookings
  for each row when (old.status = 'pending' and new.status <> 'pending') execute function public.prebookings_end_choice();

-- Cancels later choices that still wait, although the earlier one has ended: another transaction had locked them then.
-- Upkeep calls it every minute. Without upkeep the claim ends them when their classes begin. Returns the number of rows.
create function public.prebooking_repair_choices() returns int
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); n int;
begin
  with left_over as materialized (
    select p.id, public.prebooking_why_cancelled(e) as why
    from public.prebookings p left join public.prebookings e on e.id = p.stands_after
    where p.status = 'pending' and p.stands_after is not null and p.promoted_at is null and e.status is distinct from 'pending'
    order by p.id limit 500 for no key update of p skip locked)
  update public.prebookings p set status = 'cancelled', settled_at = t, error_message = l.why
  from left_over l where p.id = l.id and p.status = 'pending';
  get diagnostics n = row_count;
  return n;
end $$;

-- Adds the choices of one request, all of them or none: p_choices is a list of {"id", "booking_data", "available_at",
-- "expires_at"} in the order of preference. Returns the result of add_prebooking_v1 for the first choice that is not added,
-- with its number as "choice", or else for the last one. A repeated call adds nothing, because the ids are the caller's.
create function public.add_prebookings_v1(
  p_venue uuid, p_user_email text, p_choices jsonb, p_again boolean, p_anyway boolean default true)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v record; v_earlier uuid[] := '{}'; v_answer jsonb;
begin
  begin
    for v in
      select c.*, e.number
      from jsonb_array_elements(p_choices) with ordinality as e(choice, number)
      cross join lateral jsonb_to_record(e.choice) as c(
        id uuid, booking_data jsonb, available_at timestamptz, expires_at timestamptz)
      order by e.number
    loop
      v_answer := public.add_prebooking_v1(
        v.id, p_venue, p_user_email, v.booking_data, v.available_at, v.expires_at, p_again, p_anyway, v_earlier);
      if v_answer ->> 'verdict' <> 'added' then
        v_answer := v_answer || jsonb_build_object('choice', v.number);
        raise exception 'none is added' using errcode = 'PV000';
      end if;
      v_earlier := v_earlier || v.id;
    end loop;
  exception when sqlstate 'PV000' then
    -- The inner block is rolled back; the variables keep their values.
    null;
  end;
  return v_answer;
end $$;

grant insert (stands_after) on public.prebookings to service_role;
revoke all on function public.prebooking_promotes_next, public.prebooking_why_cancelled, public.prebookings_check_choice,
  public.prebookings_keep_choice, public.prebookings_end_choice, public.prebooking_repair_choices, public.add_prebookings_v1
  from public, anon, authenticated, service_role;
-- The triggers call the first two as the role that writes the row.
grant execute on function public.prebooking_promotes_next, public.prebooking_why_cancelled, public.prebooking_repair_choices,
  public.add_prebookings_v1 to service_role;
notify pgrst, 'reload schema';
