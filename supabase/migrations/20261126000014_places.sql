-- Places after the booking: a place is given back, and a place on a waiting list is looked at (prebooking_places).

-- Returns a settled prebooking as a booker reads it, with its member's session.
create function public.prebooking_with_session(p public.prebookings)
returns jsonb language sql stable security invoker set search_path = '' as $$
  select jsonb_build_object(
    'id', p.id, 'user_email', p.user_email, 'booking_data', p.booking_data::text, 'available_at', p.available_at,
    'expires_at', p.expires_at, 'created_at', p.created_at, 'maybe_sent', false,
    'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
      'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent),
    'session_over', s.expired_at is not null,
    'session', case when s.sealed is not null and s.expired_at is null then
      jsonb_build_object('sealed', s.sealed, 'version', s.version, 'refreshed_at', s.refreshed_at) end)
  from public.venues v left join public.member_sessions s on s.venue_id = v.id and s.user_email = lower(p.user_email)
  where v.id = p.venue_id
$$;

-- Returns whether a member's place can be given back: {"now", "verdict"}, and for 'ready' and 'given_back' more:
--   ready       with "row", "booking_id" and "settled_at"
--   given_back  it was given back before, at "given_back_at"
--   begun       the class has begun
--   rebooked    the class was asked for again, by "other": giving this place back would give back that one
--   pending, failed, cancelled   it is not booked
--   not_found
create function public.prebooking_place_v1(p_id uuid, p_user_email text)
returns jsonb language plpgsql volatile security invoker set search_path = '' as $$
declare t timestamptz := public.prebooking_clock(); p public.prebookings; v_other uuid;
begin
  select * into p from public.prebookings
  where id = p_id and lower(user_email) = public.prebooking_member(p_user_email);
  if not found then
    return jsonb_build_object('now', t, 'verdict', 'not_found');
  end if;
  select o.id into v_other from public.prebookings o
  where o.venue_id = p.venue_id and lower(o.user_email) = lower(p.user_email) and o.id <> p.id
    and public.prebooking_class_key(o.booking_data) = public.prebooking_class_key(p.booking_data)
    and (o.status = 'completed' and o.given_back_at is null and o.settled_at > p.settled_at
      or o.status = 'pending' and o.available_at <= t)
  order by o.status = 'pending' desc, o.settled_at desc limit 1;
  return jsonb_build_object('now', t, 'row', public.prebooking_with_session(p), 'booking_id', p.booking_id,
    'settled_at', p.settled_at, 'given_back_at', p.given_back_at, 'other', v_other, 'verdict', case
      when p.status <> 'completed' then p.status
      when p.given_back_at is not null then 'given_back'
      when p.expires_at <= t then 'begun'
      when v_other is not null then 'rebooked'
      else 'ready' end);
end $$;

-- Records that a place was given back, once. Returns 'given_back', also in a repeated call; 'not_completed' or 'not_found'.
create function public.give_back_v1(p_id uuid, p_user_email text)
returns text language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_answer text;
begin
  update public.prebookings set given_back_at = public.prebooking_clock()
  where id = p_id and lower(user_email) = public.prebooking_member(p_user_email) and status = 'completed' and given_back_at is null;
  if found then
    return 'given_back';
  end if;
  -- A new statement, so that it sees the result of an earlier, slow try.
  select case when given_back_at is not null then 'given_back' else 'not_completed' end into v_answer
  from public.prebookings where id = p_id and lower(user_email) = public.prebooking_member(p_user_email);
  return coalesce(v_answer, 'not_found');
end $$;

-- Returns the places on waiting lists that are to be looked at: 24 hours after the booking, and an hour before the class,
-- once each. A look without a clear answer is tried three times. Looks that were missed are not made up for, and none is made
-- after the class has begun. Members who are being booked now are left out, because a refresh ends their session at once.
create function public.prebooking_places_due(t timestamptz, p_providers text[])
returns table (id uuid, due_at timestamptz) language sql stable security invoker set search_path = '' as $$
  select p.id, d.due_at
  from public.prebookings p join public.venues v on v.id = p.venue_id
  left join public.prebooking_places l on l.prebooking_id = p.id
  cross join lateral (
    select case when p.expires_at - interval '1 hour' <= t then p.expires_at - interval '1 hour'
      when p.settled_at + interval '24 hours' <= t then p.settled_at + interval '24 hours' end as due_at) d
  where p.status = 'completed' and p.outcome = 'waitlisted' and p.given_back_at is null and p.expires_at > t
    and p.user_email <> 'forgotten' and d.due_at is not null
    and (l.looked_at is null or l.looked_at < d.due_at) and (l.tried_for is distinct from d.due_at or l.tries < 3)
    and (l.leased_until is null or l.leased_until <= t or l.leased_until > t + interval '10 minutes')  -- no lease is that long
    and v.provider = any (p_providers) and v.provider = any (public.prebooking_systems_with('give_back')) and v.enabled and (v.paused_until is null or v.paused_until <= t)
    and not exists (
      select 1 from public.prebookings o
      where o.venue_id = p.venue_id and lower(o.user_email) = lower(p.user_email) and o.status = 'pending'
        and (o.claimed_by is not null or o.available_at between t - interval '1 minute' and t + interval '1 minute'))
$$;

-- Returns whether there is a place to look at.
create function public.upkeep_places_due(t timestamptz, p_providers text[])
returns boolean language sql stable security invoker set search_path = '' as $$
  select exists (select 1 from public.prebooking_places_due(t, p_providers))
$$;

-- Leases places to look at for half a minute, those of the earliest class first, and counts the try, so that a killed upkeep
-- does not look more often. Returns the prebookings with their sessions. A repeated call returns the same ones again. It waits
-- for nothing: while another upkeep is here, there is none.
create function public.claim_places_v1(p_instance uuid, p_providers text[], p_limit int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz; v_held uuid[];
begin
  if not pg_try_advisory_xact_lock(7303, 1) then
    return '[]';
  end if;
  t := public.prebooking_clock();
  v_held := array(
    select prebooking_id from public.prebooking_places
    where leased_by = p_instance and leased_until > t and leased_until <= t + interval '30 seconds'
      and (looked_at is null or looked_at < tried_for));
  with due as materialized (
    select d.id, d.due_at from public.prebooking_places_due(t, p_providers) d join public.prebookings p on p.id = d.id
    order by p.expires_at, p.id limit greatest(least(p_limit, 100) - cardinality(v_held), 0)),
  leased as (
    insert into public.prebooking_places as l (prebooking_id, leased_by, leased_until, tried_for, tries)
    select id, p_instance, t + interval '30 seconds', due_at, 1 from due
    on conflict (prebooking_id) do update
    set leased_by = excluded.leased_by, leased_until = excluded.leased_until, tried_for = excluded.tried_for,
        tries = case when l.tried_for = excluded.tried_for then l.tries else 0 end + 1
    returning l.prebooking_id)
  select v_held || array(select prebooking_id from leased) into v_held;
  return coalesce((
    select jsonb_agg(public.prebooking_with_session(p) order by p.expires_at, p.id)
    from public.prebookings p where p.id = any (v_held)), '[]');
end $$;

-- Stores what a look has shown, if the caller still holds the place: waiting, booked or lost, with the position on the list.
-- Null: there was no clear answer, so that the look is repeated in five minutes. Returns whether it was stored, also in a
-- repeated call.
create function public.note_place_v1(p_instance uuid, p_id uuid, p_place text, p_position int)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock();
begin
  update public.prebooking_places
  set place = coalesce(p_place, place), position = case when p_place is null then position else p_position end,
      since = case when p_place is null or place = p_place then since else t end,
      looked_at = case when p_place is null then looked_at else t end,
      -- The lease is kept, so that a repeated call stores the same.
      leased_until = case when p_place is null then t + interval '5 minutes' else leased_until end
  where prebooking_id = p_id and leased_by = p_instance;
  return found;
end $$;

revoke all on function public.prebooking_with_session, public.prebooking_place_v1, public.give_back_v1, public.prebooking_places_due,
  public.upkeep_places_due, public.claim_places_v1, public.note_place_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_with_session, public.prebooking_place_v1, public.give_back_v1, public.prebooking_places_due,
  public.upkeep_places_due, public.claim_places_v1, public.note_place_v1 to service_role;
notify pgrst, 'reload schema';
