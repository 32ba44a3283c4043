-- Repeats: the class that a member wants every week, and the days on which a member is away.
--
-- A repeat makes ordinary prebookings: those of its next two classes whose booking is not open yet. Weekday and hour are on
-- the venue's clock. There is one prebooking per repeat and day (the index prebookings_of_repeats), so that a day that the
-- member cancelled is not made again. A prebooking that a pause or an absence cancels leaves its repeat, so that its day can be
-- made again when the member resumes the repeat or removes the absence.
--
-- prebooking_make_repeat locks the repeat before it reads anything else, and the commands lock it before they cancel its
-- prebookings. So a command sees every prebooking that was made before it, and later ones see what the command changed.

create table public.repeats (
  id              uuid primary key default gen_random_uuid(),
  venue_id        uuid not null references public.venues on delete cascade,
  user_email      text not null check (user_email ~ '^[!-~]+$' and length(user_email) <= 320 and user_email = lower(user_email)),
  weekday         int not null check (weekday between 1 and 7),             -- 1 is Monday
  starts_at       time not null check (starts_at = date_trunc('minute', starts_at)),
  booking_data    jsonb not null check (jsonb_typeof(booking_data) = 'object' and octet_length(booking_data::text) <= 6144),
  -- The later choices: [{"days": after the first one's day, "starts_at": "19:30", "class_name": if it has another one}].
  later           jsonb not null default '[]'
    check (case when jsonb_typeof(later) = 'array' then jsonb_array_length(later) <= 3 else false end),
  last_day        date,                                                     -- its last class is on this day, or before it
  paused_at       public.prebooking_instant,
  problem         text check (length(problem) <= 300),                      -- why a prebooking could not be made
  made_by         text,                                                     -- the time zone and rule that were used last
  due_at          public.prebooking_instant,                                -- when it is looked at next; null: paused, or over
  created_at      public.prebooking_instant not null default clock_timestamp());
create index repeats_due on public.repeats (due_at) where due_at is not null;
create index repeats_of_members on public.repeats (user_email);
-- This prevents two prebookings of one member at the same hour.
create unique index repeats_one_each on public.repeats (venue_id, user_email, weekday, starts_at);
-- The pending prebookings of a repeat, with those of its later choices.
create index prebookings_repeated on public.prebookings (repeat_id) where status = 'pending' and repeat_id is not null;

-- The days on which a member is away, both included, in the local time of each venue.
create table public.absences (
  id              uuid primary key default gen_random_uuid(),
  user_email      text not null check (user_email ~ '^[!-~]+$' and length(user_email) <= 320 and user_email = lower(user_email)),
  first_day       date not null,
  last_day        date not null,
  created_at      public.prebooking_instant not null default clock_timestamp(),
  constraint absence_ends_after_it_begins check (first_day <= last_day));
create index absences_of_members on public.absences (user_email);

alter table public.repeats  enable row level security, force row level security;
alter table public.absences enable row level security, force row level security;
revoke all on public.repeats, public.absences from public, anon, authenticated, service_role;
grant select, insert, delete on public.repeats, public.absences to service_role;
grant update (paused_at, problem, made_by, due_at) on public.repeats to service_role;
grant insert (repeat_id, repeat_day) on public.prebookings to service_role;
create policy service_role_only on public.repeats  to service_role using (true) with check (true);
create policy service_role_only on public.absences to service_role using (true) with check (true);

-- Returns when booking opens for a class that begins at a local time, by the rule of prebooking/opening.py.
create function public.prebooking_opening(p_rule text, p_local timestamp, p_zone text) returns timestamptz
language plpgsql stable security invoker set search_path = '' as $$
declare v_at constant text := nullif(split_part(p_rule, ' at ', 2), '');
begin
  if p_rule like '% hour%' then
    return public.prebooking_local_instant(p_local, p_zone) - split_part(p_rule, ' before', 1)::interval;
  end if;
  return public.prebooking_local_instant(
    p_local::date - split_part(p_rule, ' ', 1)::int + coalesce(v_at::time, p_local::time), p_zone);
end $$;

-- Returns the days of a repeat's next two classes whose booking opens after t, and the openings. No opening is after t on the
-- days before the first candidate; a day is subtracted, because clocks change.
create function public.prebooking_next_days(repeat public.repeats, venue public.venues, t timestamptz)
returns table (day date, opens timestamptz) language sql stable security invoker set search_path = '' as $$
  with first as (
    select ((t at time zone venue.timezone) + split_part(venue.opening_rule, ' before', 1)::interval)::date - 1 as day)
  select d.day, o.opens
  from first cross join generate_series(0, 21, 7) as weeks(days)
    cross join lateral (
      select first.day + (repeat.weekday - extract(isodow from first.day)::int + 7) % 7 + weeks.days as day) d
    cross join lateral (select public.prebooking_opening(venue.opening_rule, d.day + repeat.starts_at, venue.timezone) as opens) o
  where o.opens > t and d.day <= coalesce(repeat.last_day, d.day)
  order by d.day limit 2
$$;

-- Returns the booking data of one choice: the template with its day and hour. A "class_name" in p_choice replaces the
-- template's; null there means any class.
create function public.prebooking_repeat_data(
  repeat public.repeats, venue public.venues, p_day date, p_hour time, p_choice jsonb) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select case when p_choice ? 'class_name' then x.filled - 'class_name' else x.filled end
    || jsonb_build_object('day', d.day, 'starts_at', d.hour)
    || case when p_choice ->> 'class_name' is null then '{}' else jsonb_build_object('class_name', p_choice ->> 'class_name') end
  from (select to_char(p_hour, 'HH24:MI') as hour, to_char(p_day,
      case when public.prebooking_systems() -> venue.provider ? 'timetable' then 'YYYYMMDD' else 'YYYY-MM-DD' end) as day) d
    cross join lateral (
      select replace(replace(repeat.booking_data::text, '{day}', d.day), '{starts_at}', d.hour)::jsonb as filled) x
$$;

create function public.prebooking_is_away(p_user_email text, p_day date) returns boolean
language plpgsql stable security invoker set search_path = '' as $$
begin
  return exists (select from public.absences where user_email = p_user_email and p_day between first_day and last_day);
end $$;

-- Cancels these prebookings, and removes them from their repeats. It skips rows that are held, in doubt, or locked. Returns the
-- ids of the cancelled ones.
create function public.prebooking_cancel_repeated(p_ids uuid[], p_why text, t timestamptz) returns uuid[]
language sql volatile security invoker set search_path = '' as $$
  with free as materialized (
    select id from public.prebookings
    where id = any (p_ids) and status = 'pending' and claimed_by is null and not maybe_sent
    for no key update skip locked),
  cancelled as (
    update public.prebookings p
    set status = 'cancelled', settled_at = t, error_message = p_why, repeat_id = null, repeat_day = null
    from free where p.id = free.id returning p.id)
  select coalesce(array_agg(id), '{}') from cancelled
$$;

-- Moves the pending prebookings of a repeat to the openings of its venue's present zone and rule, except those that are held,
-- in doubt, or locked. One whose day or hour an edit has made unreadable stays where it is. Returns how many it moved, and how
-- many it had to leave.
create function public.prebooking_move_repeated(repeat public.repeats, venue public.venues, out moved int, out unmoved int)
language sql volatile security invoker set search_path = '' as $$
  with wrong as materialized (
    select p.id, l.begins, l.opens
    from public.prebookings p
      cross join lateral (select public.prebooking_class_day(p.booking_data)
        + public.prebooking_class_start(p.booking_data, venue.timezone)::time as local) c
      cross join lateral (select public.prebooking_local_instant(c.local, venue.timezone) as begins,
        public.prebooking_opening(venue.opening_rule, c.local, venue.timezone) as opens) l
    where p.repeat_id = repeat.id and p.status = 'pending' and c.local between p.repeat_day - 31 and p.repeat_day + 31
      and (p.available_at, p.expires_at) <> (l.opens, l.begins)),
  free as materialized (
    select p.id, wrong.begins, wrong.opens from public.prebookings p join wrong on wrong.id = p.id
    where p.status = 'pending' and p.claimed_by is null and not p.maybe_sent
    for no key update of p skip locked),
  done as (
    update public.prebookings p set available_at = free.opens, expires_at = free.begins from free where p.id = free.id
    returning p.id)
  select (select count(*) from done)::int, (select count(*) from wrong)::int - (select count(*) from done)::int
$$;

-- Makes the prebookings of one day of a repeat: its first choice, and the later ones, each after the one before. A choice is
-- left out if the member is away, or has another prebooking at that hour there; a later choice that may not be needed is none.
-- Returns how many it made, and why the first one could not be made.
create function public.prebooking_make_day(repeat public.repeats, venue public.venues, p_day date, out made int, out problem text)
language plpgsql volatile security invoker set search_path = '' as $$
declare c record; v_id uuid; v_after uuid; v_local timestamp; v_begins timestamptz;
begin
  made := 0;
  for c in
    select x.day, x.starts_at, x.choice from (
      select 0 as number, p_day as day, repeat.starts_at, null::jsonb as choice
      union all
      select number, p_day + (choice ->> 'days')::int, (choice ->> 'starts_at')::time, choice
      from jsonb_array_elements(repeat.later) with ordinality as later(choice, number)) x
    order by x.number
  loop
    v_local := c.day + c.starts_at;
    v_begins := public.prebooking_local_instant(v_local, venue.timezone);
    insert into public.prebookings
      (id, venue_id, user_email, booking_data, available_at, expires_at, stands_after, repeat_id, repeat_day)
    select gen_random_uuid(), venue.id, repeat.user_email,
      public.prebooking_repeat_data(repeat, venue, c.day, c.starts_at, c.choice),
      public.prebooking_opening(venue.opening_rule, v_local, venue.timezone), v_begins, v_after, repeat.id, p_day
    where not public.prebooking_is_away(repeat.user_email, c.day)
      -- Two queries, because there is an index for each status. Without "offset 0" Postgres may read the whole index.
      and not exists (
        select from (
          select * from public.prebookings
          where venue_id = venue.id and lower(user_email) = repeat.user_email and status = 'pending' offset 0) p
        where p.expires_at = v_begins and p.repeat_id is distinct from repeat.id
          and (v_after is not null or p.stands_after is null or p.promoted_at is not null))
      and not exists (
        select from (
          select * from public.prebookings
          where venue_id = venue.id and lower(user_email) = repeat.user_email and status = 'completed' offset 0) p
        where p.expires_at = v_begins and p.repeat_id is distinct from repeat.id and p.given_back_at is null)
    on conflict do nothing returning id into v_id;
    if found then
      made := made + 1;
      v_after := v_id;
    elsif v_after is null then
      if not exists (select from public.prebookings where repeat_id = repeat.id and repeat_day = p_day and stands_after is null) then
        problem := 'asked_for: the class on ' || p_day || ' is asked for already by another prebooking of the member.';
      end if;
      return;
    end if;
  end loop;
exception when sqlstate 'PT409' then
  -- Raised by prebookings_limit. What this block has made is undone.
  made := 0;
  problem := 'too_many: the member has five prebookings already that open with the class on ' || p_day || '.';
end $$;

-- Looks at one repeat, which the caller has locked: moves its prebookings if the venue's zone or rule changed, cancels those
-- in an absence, and makes those of its next two classes. Returns {"made", "moved", "cancelled"}, and stores what hinders it.
create function public.prebooking_make_repeat(p_id uuid, t timestamptz) returns jsonb
language plpgsql volatile security invoker set search_path = '' as $$
declare
  r public.repeats; v public.venues; v_next record; v_day record; v_by text; v_problem text;
  v_moved int := 0; v_unmoved int := 0; v_made int := 0; v_cancelled uuid[] := '{}'; v_due timestamptz;
begin
  select * into r from public.repeats where id = p_id and paused_at is null;
  if not found then
    return jsonb_build_object('made', 0, 'moved', 0, 'cancelled', 0);
  end if;
  select * into v from public.venues where id = r.venue_id;
  begin
    if v.opening_rule is null then
      v_problem := 'no_rule: its venue has no rule when booking opens. Set it with `prebooking venue edit --opens`.';
      v_due := t + interval '1 hour';
    else
      v_by := v.timezone || ' ' || v.opening_rule;
      if r.made_by <> v_by then
        select m.moved, m.unmoved into v_moved, v_unmoved from public.prebooking_move_repeated(r, v) m;
      end if;
      if exists (select from public.absences where user_email = r.user_email) then
        v_cancelled := public.prebooking_cancel_repeated(array(
          select id from public.prebookings where repeat_id = r.id and status = 'pending'
            and public.prebooking_is_away(r.user_email, (expires_at at time zone v.timezone)::date)),
          'away: the member is away on this day.', t);
      end if;
      for v_next in select * from public.prebooking_next_days(r, v, t) loop
        -- A minute later, because claims are busy at an opening. A day later at the latest, for rows that were locked.
        v_due := coalesce(v_due, least(v_next.opens + interval '1 minute', t + interval '1 day'));
        continue when public.prebooking_is_away(r.user_email, v_next.day);
        select m.made, m.problem into v_day from public.prebooking_make_day(r, v, v_next.day) m;
        v_made := v_made + v_day.made;
        v_problem := coalesce(v_problem, v_day.problem);
      end loop;
      -- After its last day has been made it is looked at until its prebookings have ended, because they may have to be moved.
      if v_due is null and exists (select from public.prebookings where repeat_id = r.id and status = 'pending') then
        v_due := t + interval '1 day';
      end if;
    end if;
  exception
    when lock_not_available or deadlock_detected then
      v_moved := 0; v_made := 0; v_cancelled := '{}'; v_by := r.made_by; v_problem := r.problem; v_due := t + interval '1 minute';
    when others then
      v_moved := 0; v_made := 0; v_cancelled := '{}'; v_by := r.made_by; v_due := t + interval '1 hour';
      v_problem := 'failed: the database refused its prebookings with the code ' || sqlstate || '.';
  end;
  update public.repeats
  set problem = v_problem, made_by = case when v_unmoved > 0 then made_by else coalesce(v_by, made_by) end,
      due_at = case when v_unmoved > 0 then t + interval '1 minute'
        when v_problem is not null then least(v_due, t + interval '1 hour') else v_due end
  where id = r.id and paused_at is null;
  return jsonb_build_object('made', v_made, 'moved', v_moved, 'cancelled', cardinality(v_cancelled));
end $$;

-- Looks at the repeats that are due, at most p_limit of them and for about a second, because a caller waits for two. A repeat is
-- looked at again after a day at the latest, so a later due_at was stored while the database's clock was ahead, and is due too.
-- Skips those that another call has locked. Returns {"repeats", "made", "moved", "cancelled", "problems", "more"}: how many it looked
-- at, and whether others are due. All calls take the locks of prebookings_limit in one order, so that no two of them wait for
-- each other.
create function public.make_repeats_v1(p_limit int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '250ms' as $$
declare
  t timestamptz := public.prebooking_clock(); v_id uuid; v_done jsonb;
  v_ids uuid[] := '{}'; v_made int := 0; v_moved int := 0; v_cancelled int := 0;
  v_until constant timestamptz := clock_timestamp() + interval '1 second';
begin
  for v_id in
    with due as materialized (
      select id, user_email from public.repeats where due_at <= t or due_at > t + interval '2 days'
      order by due_at, id limit least(greatest(p_limit, 1), 1000)
      for no key update skip locked)
    select id from due order by hashtext(user_email) & 1023, id
  loop
    v_done := public.prebooking_make_repeat(v_id, t);
    v_ids := v_ids || v_id;
    v_made := v_made + (v_done ->> 'made')::int;
    v_moved := v_moved + (v_done ->> 'moved')::int;
    v_cancelled := v_cancelled + (v_done ->> 'cancelled')::int;
    exit when clock_timestamp() > v_until;
  end loop;
  return jsonb_build_object('repeats', cardinality(v_ids), 'made', v_made, 'moved', v_moved, 'cancelled', v_cancelled,
    'problems', (select count(*) from public.repeats where id = any (v_ids) and problem is not null),
    'more', exists (select from public.repeats where due_at <= t or due_at > t + interval '2 days'));
end $$;

-- Returns whether a repeat is due.
create function public.upkeep_repeats_due(t timestamptz) returns boolean
language plpgsql stable security invoker set search_path = '' as $$
begin
  return exists (select from public.repeats where due_at <= t or due_at > t + interval '2 days');
end $$;

-- Makes the repeats of a venue due when its zone or rule changes.
create function public.venues_move_repeats() returns trigger language plpgsql set search_path = '' as $$
begin
  update public.repeats set due_at = public.prebooking_clock() where venue_id = new.id and due_at is not null;
  return null;
end $$;
create trigger venues_repeats after update of timezone, opening_rule on public.venues
  for each row when ((new.timezone, new.opening_rule) is distinct from (old.timezone, old.opening_rule))
  execute function public.venues_move_repeats();

-- Returns these prebookings, ordered by the start of their classes, for the answer of a command.
create function public.prebooking_briefs(p_ids uuid[]) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', p.id, 'venue', v.name, 'timezone', v.timezone, 'class_name', p.booking_data ->> 'class_name',
    'class_id', p.booking_data ->> 'class_id', 'available_at', p.available_at, 'expires_at', p.expires_at)
    order by p.expires_at, p.created_at, p.id), '[]')
  from public.prebookings p join public.venues v on v.id = p.venue_id where p.id = any (p_ids)
$$;

-- Adds a repeat, and makes its first prebookings. Returns {"verdict", "id", "problem", "made"}:
--   added     "made" has its pending prebookings
--   exists    the member has a repeat at this venue, weekday and hour: "id"
--   over      no booking opens before its last day
--   no_rule   the venue has no opening rule
--   no_venue
create function public.add_repeat_v1(
  p_id uuid, p_venue uuid, p_user_email text, p_weekday int, p_starts_at time, p_booking_data jsonb, p_later jsonb, p_last_day date)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v public.venues; r public.repeats;
begin
  select * into v from public.venues where id = p_venue;
  if not found or v.opening_rule is null then
    return jsonb_build_object('verdict', case when v.id is null then 'no_venue' else 'no_rule' end);
  end if;
  insert into public.repeats (id, venue_id, user_email, weekday, starts_at, booking_data, later, last_day, due_at)
    values (p_id, p_venue, public.prebooking_member(p_user_email), p_weekday, p_starts_at, p_booking_data, p_later, p_last_day, t)
    on conflict do nothing;
  select * into r from public.repeats
  where id = p_id or (venue_id = p_venue and user_email = public.prebooking_member(p_user_email) and weekday = p_weekday
    and starts_at = p_starts_at)
  order by id = p_id desc limit 1 for no key update;
  if r.id <> p_id then
    return jsonb_build_object('verdict', 'exists', 'id', r.id);
  end if;
  if not exists (select from public.prebooking_next_days(r, v, t)) then
    delete from public.repeats where id = p_id;
    return jsonb_build_object('verdict', 'over');
  end if;
  perform public.prebooking_make_repeat(p_id, t);
  return jsonb_build_object('verdict', 'added', 'id', p_id,
    'problem', (select problem from public.repeats where id = p_id),
    'made', public.prebooking_briefs(array(
      select id from public.prebookings where repeat_id = p_id and status = 'pending' and stands_after is null)));
end $$;

-- Returns the repeats of a member (null: of all members), with their pending prebookings.
create function public.list_repeats_v1(p_user_email text)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', r.id, 'venue', v.name, 'timezone', v.timezone, 'user_email', r.user_email, 'weekday', r.weekday,
    'starts_at', to_char(r.starts_at, 'HH24:MI'), 'class_name', r.booking_data ->> 'class_name', 'later', r.later,
    'last_day', r.last_day, 'paused', r.paused_at is not null, 'over', r.paused_at is null and r.due_at is null,
    'problem', r.problem, 'next', public.prebooking_briefs(array(
      select id from public.prebookings where repeat_id = r.id and status = 'pending')))
    order by lower(v.name), r.user_email, r.weekday, r.starts_at), '[]')
  from public.repeats r join public.venues v on v.id = r.venue_id
  where p_user_email is null or r.user_email = public.prebooking_member(p_user_email)
$$;

-- Pauses a repeat, and cancels its prebookings; or resumes it, and makes them. Returns {"verdict", "cancelled", "left", "made",
-- "problem"}: 'paused', with the cancelled prebookings and those that may be at the venue; 'resumed', with the pending ones; or
-- 'not_found'.
create function public.pause_repeat_v1(p_id uuid, p_paused boolean)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); r public.repeats;
begin
  update public.repeats
  set paused_at = case when p_paused then coalesce(paused_at, t) end, due_at = case when not p_paused then t end
  where id = p_id returning * into r;
  if not found then
    return jsonb_build_object('verdict', 'not_found');
  end if;
  if p_paused then
    perform public.prebooking_cancel_repeated(
      array(select id from public.prebookings where repeat_id = p_id and status = 'pending'), 'paused: its repeat was paused.', t);
    return jsonb_build_object('verdict', 'paused',
      'cancelled', public.prebooking_briefs(array(
        select id from public.prebookings where venue_id = r.venue_id and lower(user_email) = r.user_email and status = 'cancelled'
          and settled_at >= r.paused_at and error_message like 'paused: %')),
      'left', public.prebooking_briefs(array(select id from public.prebookings where repeat_id = p_id and status = 'pending')));
  end if;
  perform public.prebooking_make_repeat(p_id, t);
  return jsonb_build_object('verdict', 'resumed', 'problem', (select problem from public.repeats where id = p_id),
    'made', public.prebooking_briefs(array(
      select id from public.prebookings where repeat_id = p_id and status = 'pending' and stands_after is null)));
end $$;

-- Removes a repeat, and cancels its prebookings. Returns {"verdict", "cancelled", "left"}: 'removed', or 'not_found'.
create function public.remove_repeat_v1(p_id uuid)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); v_cancelled uuid[];
begin
  perform from public.repeats where id = p_id for update;
  if not found then
    return jsonb_build_object('verdict', 'not_found');
  end if;
  v_cancelled := public.prebooking_cancel_repeated(
    array(select id from public.prebookings where repeat_id = p_id and status = 'pending'), 'removed: its repeat was removed.', t);
  delete from public.repeats where id = p_id;
  return jsonb_build_object('verdict', 'removed', 'cancelled', public.prebooking_briefs(v_cancelled),
    'left', public.prebooking_briefs(array(select id from public.prebookings where repeat_id = p_id and status = 'pending')));
end $$;

-- Returns a member's prebookings with this status whose classes begin on these days, each in its venue's local time.
create function public.prebooking_ids_between(p_user_email text, p_first date, p_last date, p_status text) returns uuid[]
language sql stable security invoker set search_path = '' as $$
  select array(
    select p.id from public.prebookings p join public.venues v on v.id = p.venue_id
    where lower(p.user_email) = p_user_email and p.status = p_status and p.given_back_at is null
      and p.expires_at between p_first - interval '2 days' and p_last + interval '3 days'
      and (p.expires_at at time zone v.timezone)::date between p_first and p_last)
$$;

-- Adds an absence, and cancels the member's prebookings on its days, also those that the member added. Returns {"verdict", "id",
-- "cancelled", "left", "booked"}: 'added', with the cancelled prebookings, those that may be at the venue, and those that are
-- booked; 'exists', if another absence has all of these days; or 'over', if they are past in every time zone.
create function public.add_absence_v1(p_id uuid, p_user_email text, p_first date, p_last date)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  t timestamptz := public.prebooking_clock(); v_member constant text := public.prebooking_member(p_user_email);
  v_today date := (t at time zone 'Etc/GMT+12')::date; a public.absences;
begin
  if p_last < v_today then
    return jsonb_build_object('verdict', 'over');
  end if;
  select * into a from public.absences where user_email = v_member and first_day <= p_first and last_day >= p_last
  order by id = p_id desc limit 1;
  if found and a.id <> p_id then
    return jsonb_build_object('verdict', 'exists', 'id', a.id, 'first_day', a.first_day, 'last_day', a.last_day);
  end if;
  delete from public.absences where last_day < v_today - 30;
  insert into public.absences (id, user_email, first_day, last_day, created_at) values (p_id, v_member, p_first, p_last, t)
    on conflict do nothing;
  select * into a from public.absences where id = p_id;
  -- The locks on the repeats; see above.
  update public.repeats set due_at = t where user_email = v_member and due_at is not null;
  perform public.prebooking_cancel_repeated(
    public.prebooking_ids_between(v_member, p_first, p_last, 'pending'), 'away: the member is away on this day.', t);
  return jsonb_build_object('verdict', 'added', 'id', p_id,
    'cancelled', public.prebooking_briefs(array(
      select id from public.prebookings
      where id = any (public.prebooking_ids_between(v_member, p_first, p_last, 'cancelled'))
        and settled_at >= a.created_at and error_message like 'away: %')),
    'left', public.prebooking_briefs(public.prebooking_ids_between(v_member, p_first, p_last, 'pending')),
    'booked', public.prebooking_briefs(public.prebooking_ids_between(v_member, p_first, p_last, 'completed')));
end $$;

-- Returns the absences of a member (null: of all members) that are not over in every time zone.
create function public.list_absences_v1(p_user_email text)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'user_email', user_email, 'first_day', first_day, 'last_day', last_day)
    order by first_day, last_day, user_email), '[]')
  from public.absences
  where last_day >= (public.prebooking_clock() at time zone 'Etc/GMT+12')::date
    and (p_user_email is null or user_email = public.prebooking_member(p_user_email))
$$;

-- Removes an absence, and makes the prebookings of the member's repeats on its days. Returns {"verdict", "made"}: 'removed', with
-- the pending prebookings on these days, or 'not_found'.
create function public.remove_absence_v1(p_id uuid)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz := public.prebooking_clock(); a public.absences; v_id uuid;
begin
  delete from public.absences where id = p_id returning * into a;
  if not found then
    return jsonb_build_object('verdict', 'not_found');
  end if;
  update public.repeats set due_at = t where user_email = a.user_email and due_at is not null;
  for v_id in select id from public.repeats where user_email = a.user_email and due_at is not null order by id loop
    perform public.prebooking_make_repeat(v_id, t);
  end loop;
  return jsonb_build_object('verdict', 'removed',
    'made', public.prebooking_briefs(public.prebooking_ids_between(a.user_email, a.first_day, a.last_day, 'pending')));
end $$;

revoke all on function public.prebooking_opening, public.prebooking_next_days, public.prebooking_repeat_data,
  public.prebooking_is_away, public.prebooking_cancel_repeated, public.prebooking_move_repeated, public.prebooking_make_day,
  public.prebooking_make_repeat, public.make_repeats_v1, public.upkeep_repeats_due, public.venues_move_repeats,
  public.prebooking_briefs, public.add_repeat_v1, public.list_repeats_v1, public.pause_repeat_v1, public.remove_repeat_v1,
  public.prebooking_ids_between, public.add_absence_v1, public.list_absences_v1, public.remove_absence_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_opening, public.prebooking_next_days, public.prebooking_repeat_data,
  public.prebooking_is_away, public.prebooking_cancel_repeated, public.prebooking_move_repeated, public.prebooking_make_day,
  public.prebooking_make_repeat, public.make_repeats_v1, public.upkeep_repeats_due,
  public.prebooking_briefs, public.add_repeat_v1, public.list_repeats_v1, public.pause_repeat_v1, public.remove_repeat_v1,
  public.prebooking_ids_between, public.add_absence_v1, public.list_absences_v1, public.remove_absence_v1
  to service_role;
notify pgrst, 'reload schema';
