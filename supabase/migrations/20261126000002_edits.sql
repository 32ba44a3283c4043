-- Triggers for edits: which changes of a prebooking or a venue are refused, and what else is updated after a change.

-- Returns a warning for the member if AimHarder's booker cannot parse this booking_data, else null.
create function public.prebooking_bad_data(p_booking_data jsonb) returns text
language plpgsql immutable security invoker set search_path = '' as $$
declare
  v_day constant text := btrim(p_booking_data ->> 'day', E' \t\n\x0b\f\r\u00a0');
  v_digits constant text := replace(v_day, '-', '');
begin
  if public.prebooking_plain_id(p_booking_data -> 'class_id') is not true then
    return 'bad_data: class_id is not the number of a class at AimHarder. Cancel this prebooking and add it again.';
  end if;
  -- The first of the month plus the day - 1 is in another month if the date does not exist.
  if coalesce(jsonb_typeof(p_booking_data -> 'day'), '') not in ('string', 'number')
      or v_day !~ '^[12][0-9]{3}(-?)(0[1-9]|1[0-2])\1(0[1-9]|[12][0-9]|3[01])$'
      or extract(month from make_date(left(v_digits, 4)::int, substr(v_digits, 5, 2)::int, 1) + right(v_digits, 2)::int - 1)
         <> substr(v_digits, 5, 2)::int then
    return 'bad_data: day is not a date written as YYYYMMDD or YYYY-MM-DD. Cancel this prebooking and add it again.';
  end if;
  if coalesce(p_booking_data -> 'insist', '0') not in ('0', '1', 'true', 'false', 'null', '""', '"0"', '"1"') then
    return 'bad_data: insist is neither 0 nor 1 (join the waiting list). Cancel this prebooking and add it again.';
  end if;
  if coalesce(p_booking_data -> 'family_id', 'null') not in ('null', '""')
      and not public.prebooking_plain_id(p_booking_data -> 'family_id') then
    return 'bad_data: family_id is not a number of AimHarder''s. Cancel this prebooking and add it again.';
  end if;
  return null;
end $$;

-- Returns whether a value is an AimHarder number, as a JSON number or as text, with or without surrounding spaces.
create function public.prebooking_plain_id(p_value jsonb) returns boolean
language sql immutable security invoker set search_path = '' as $$
  select jsonb_typeof(p_value) in ('string', 'number') and btrim(p_value #>> '{}', E' \t\n\x0b\f\r\u00a0') ~ '^[A-Za-z0-9_]{1,40}$'
$$;

-- Sets a missing expires_at, and stores a warning about data that the booker could not read at the opening. A row without a
-- class_id whose day and hour can be read waits until its class is found in the venue's timetable.
create function public.prebookings_fill() returns trigger language plpgsql set search_path = '' as $$
declare v public.venues;
begin
  new.expires_at := coalesce(new.expires_at, new.available_at + interval '24 hours');
  select * into v from public.venues where id = new.venue_id;
  if new.status = 'pending' then
    new.class_unknown := coalesce(v.provider = any (public.prebooking_systems_with('timetable'))
      and nullif(btrim(new.booking_data ->> 'class_id'), '') is null
      and public.prebooking_class_wanted(new.booking_data, v.timezone) is not null, false);
  end if;
  if v.provider = 'aimharder' then
    new.warning := coalesce(
      public.prebooking_bad_data(new.booking_data || case when new.class_unknown then '{"class_id": "0"}' else '{}' end::jsonb),
      case when new.warning not like 'bad\_data: %' then new.warning end);
  end if;
  return new;
end $$;
create trigger prebookings_fill before insert on public.prebookings
  for each row execute function public.prebookings_fill();
-- Runs again if the data changes, or if another warning would overwrite this one while the data is still bad.
create trigger prebookings_reread before update on public.prebookings
  for each row when (new.booking_data is distinct from old.booking_data or new.venue_id <> old.venue_id
    or (old.warning like 'bad\_data: %' and new.warning is distinct from old.warning))
  execute function public.prebookings_fill();

create function public.prebookings_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'prebooking % may already be at the venue: it cannot be changed now', old.id using errcode = 'PT409';
end $$;
-- A row that is claimed or in doubt is neither cancelled nor edited, because its request may have reached the venue. This
-- prevents two bookings for one prebooking, and a call at the old opening after an edit.
create trigger prebookings_being_booked before update on public.prebookings
  for each row when (old.status = 'pending' and (old.claimed_by is not null or old.maybe_sent) and (new.status = 'cancelled'
    or (new.id, new.venue_id, new.user_email, new.booking_data, new.available_at, new.expires_at)
      is distinct from (old.id, old.venue_id, old.user_email, old.booking_data, old.available_at, old.expires_at)))
  execute function public.prebookings_refuse();

-- The provider and host of its venue cannot be changed either: the query about the call would go to the wrong venue.
create function public.venues_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (
    select 1 from public.prebookings
    where venue_id = old.id and status = 'pending' and not fresh and not waits and (claimed_by is not null or maybe_sent)) then
    raise exception 'prebookings of venue % are being booked there: add another venue', old.id using errcode = 'PT409';
  end if;
  return new;
end $$;
create trigger venues_being_booked before update of provider, host on public.venues
  for each row when ((new.provider, new.host) is distinct from (old.provider, old.host))
  execute function public.venues_refuse();

-- An edited row is treated as a new prebooking: everything stored about earlier calls is reset. Otherwise a row with a
-- corrected opening would keep the old back-off, and would fail at its first "too early".
create function public.prebookings_begin_anew() returns trigger language plpgsql set search_path = '' as $$
begin
  new.attempts := 0;
  new.unclear := 0;
  new.early_since := null;
  new.missing_since := null;
  new.blocks := 0;
  new.blocked_at := null;
  new.setbacks := 0;
  new.retry_after := null;
  new.if_not_booked := null;
  new.fired_at := null;
  return new;
end $$;
create trigger prebookings_made_anew before update of venue_id, user_email, booking_data, available_at on public.prebookings
  for each row when (old.status = 'pending' and new.status = 'pending' and old.claimed_by is null and not old.maybe_sent
    and (new.venue_id, new.user_email, new.booking_data, new.available_at)
      is distinct from (old.venue_id, old.user_email, old.booking_data, old.available_at))
  execute function public.prebookings_begin_anew();

-- At most five pending prebookings per member and opening. This prevents one member from taking the slots of the others.
-- Openings less than a minute apart count as one, because their rows are called one after the other. The lock makes two
-- connections that add for one member take turns, so that the second one counts the first one's row. There are only 1024
-- locks, so that a statement with thousands of members does not fill the server's lock table. A later choice counts once it is
-- promoted, but its promotion is never refused.
create function public.prebookings_limit() returns trigger language plpgsql set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(7302, hashtext(lower(new.user_email)) & 1023);
  if 5 < (
    select count(*) filter (where live.available_at - new.available_at > interval '-1 minute'
      and live.available_at - new.available_at < interval '1 minute')
    from (
      select p.available_at from public.prebookings p
      where p.status = 'pending' and p.venue_id = new.venue_id and lower(p.user_email) = lower(new.user_email)
        and (p.stands_after is null or p.promoted_at is not null) offset 0) live) then
    raise exception 'one member can have five pending prebookings for one opening: cancel one of them first'
      using errcode = 'PT409', constraint = 'five_for_one_opening';
  end if;
  return null;
end $$;
create trigger prebookings_limit after insert on public.prebookings
  for each row when (new.status = 'pending' and new.stands_after is null) execute function public.prebookings_limit();
create trigger prebookings_limit_moved after update of venue_id, user_email, available_at on public.prebookings
  for each row when (new.status = 'pending' and (new.stands_after is null or new.promoted_at is not null)
    and (new.venue_id, lower(new.user_email), new.available_at)
    is distinct from (old.venue_id, lower(old.user_email), old.available_at))
  execute function public.prebookings_limit();

revoke all on function public.prebooking_bad_data, public.prebooking_plain_id, public.prebookings_fill, public.prebookings_refuse,
  public.venues_refuse, public.prebookings_begin_anew, public.prebookings_limit from public, anon, authenticated, service_role;
-- The triggers call these functions as the role that writes the row.
grant execute on function public.prebooking_bad_data, public.prebooking_plain_id to service_role;
