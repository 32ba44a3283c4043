-- The functions of the operator's command line. Every change states what must be true, and returns a verdict. The caller
-- chooses the id of a new row, so that a repeated call returns 'added' again.

-- Converts a local time of a venue to an instant, by the rule of prebooking/opening.py. A time in a repeated hour means the
-- first of the two; "at time zone" alone takes the second. A time in a skipped hour uses the offset from before the change,
-- as "at time zone" does.
create function public.prebooking_local_instant(p_local timestamp, p_zone text) returns timestamptz
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_second constant timestamptz := p_local at time zone p_zone;
  v_before constant timestamptz := v_second - interval '1 day';
  -- The same time, with the offset of the day before.
  v_first  constant timestamptz := (p_local - (v_before at time zone p_zone - v_before at time zone 'UTC')) at time zone 'UTC';
begin
  return case when v_first at time zone p_zone = p_local then least(v_first, v_second) else v_second end;
end $$;

-- Returns a member's address in the form in which it is compared; null, which equals nothing, if it is not printable ASCII.
create function public.prebooking_member(p_user_email text) returns text
language sql immutable security invoker set search_path = '' as $$
  select case when p_user_email ~ '^[!-~]+$' then lower(p_user_email) end
$$;

-- Adds a venue. Returns {"verdict": "added" | "name_taken" | "box_taken", "id", "name"}, of the new venue or of the existing
-- one that conflicts. Names are unique, because commands use them. Boxes are unique, because two venues for one box would
-- have two queues, without order and stagger between them; two venues of one host without a box number could be the same box.
-- The lock makes callers that add a venue or set a box take turns. Venues that are added with SQL are not checked.
create function public.add_venue_v1(
  p_id uuid, p_name text, p_provider text, p_host text, p_box_id text, p_timezone text, p_opening_rule text)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v public.venues; v_verdict text := 'added';
begin
  perform pg_advisory_xact_lock(7301, 2);
  select * into v from public.venues
  where id = p_id or lower(name) = lower(p_name) or (provider = p_provider and host = p_host
    and (provider_box_id = p_box_id or (provider = 'aimharder' and provider_box_id is null and p_box_id is null)))
  order by id = p_id desc, lower(name) = lower(p_name) desc limit 1;
  if not found then
    insert into public.venues (id, name, provider, host, provider_box_id, timezone, opening_rule)
      values (p_id, p_name, p_provider, p_host, p_box_id, p_timezone, p_opening_rule) returning * into v;
  elsif v.id <> p_id then
    v_verdict := case when lower(v.name) = lower(p_name) then 'name_taken' else 'box_taken' end;
  end if;
  return jsonb_build_object('verdict', v_verdict, 'id', v.id, 'name', v.name);
end $$;

-- Returns every venue, ordered by name, with the number of its pending prebookings.
create function public.list_venues_v1()
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host, 'provider_box_id', v.provider_box_id,
    'timezone', v.timezone, 'opening_rule', v.opening_rule, 'idempotent', v.idempotent, 'enabled', v.enabled,
    'late_cancel_hours', v.late_cancel_hours,
    'paused_until', case when v.paused_until > public.prebooking_clock() then v.paused_until end,
    'pending', (select count(*) from public.prebookings p where p.venue_id = v.id and p.status = 'pending'))
    order by lower(v.name)), '[]')
  from public.venues v
$$;

-- Disables a venue until it is enabled again, or enables it, and ends any pause. An enabled venue counts as healthy, and its
-- rows can be overdue only from now on. A run that already holds rows of a disabled venue may send them until its guard.
-- Returns false if there is no such venue.
create function public.enable_venue_v1(p_id uuid, p_enabled boolean)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  update public.venues
  set enabled = p_enabled, paused_until = case when p_enabled then public.prebooking_clock() else paused_until end,
      troubled_since = case when not p_enabled then troubled_since end
  where id = p_id;
  return found;
end $$;

-- Sets the box number of a venue without one. Returns {"verdict", "name"}: 'set' if it has this box now; 'box_taken' if the
-- named venue has this box; 'other_box' if the venue has another box or was removed.
create function public.set_venue_box_v1(p_id uuid, p_box_id text)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_taken text;
begin
  perform pg_advisory_xact_lock(7301, 2);
  select other.name into v_taken
  from public.venues v join public.venues other on other.provider = v.provider and other.host = v.host and other.id <> v.id
  where v.id = p_id and other.provider_box_id = p_box_id limit 1;
  if found then
    return jsonb_build_object('verdict', 'box_taken', 'name', v_taken);
  end if;
  update public.venues set provider_box_id = p_box_id where id = p_id and provider_box_id is null;
  return jsonb_build_object('verdict',
    case when exists (select 1 from public.venues where id = p_id and provider_box_id = p_box_id) then 'set' else 'other_box' end);
end $$;

-- Changes the fields of a venue that are not null; p_late_cancel_hours 0 removes the limit. Returns {"verdict", "name"}: 'changed'; 'name_taken' or 'box_taken' by the
-- named venue; or 'no_venue'. Pending prebookings keep their openings.
create function public.edit_venue_v1(p_id uuid, p_name text, p_timezone text, p_opening_rule text, p_box_id text, p_idempotent boolean,
  p_late_cancel_hours int default null)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_taken public.venues;
begin
  perform pg_advisory_xact_lock(7301, 2);
  select other.* into v_taken
  from public.venues v join public.venues other on other.id <> v.id and (lower(other.name) = lower(p_name)
    or (other.provider = v.provider and other.host = v.host and other.provider_box_id = p_box_id))
  where v.id = p_id order by lower(other.name) = lower(p_name) desc limit 1;
  if found then
    return jsonb_build_object('name', v_taken.name,
      'verdict', case when lower(v_taken.name) = lower(p_name) then 'name_taken' else 'box_taken' end);
  end if;
  update public.venues
  set name = coalesce(p_name, name), timezone = coalesce(p_timezone, timezone), opening_rule = coalesce(p_opening_rule, opening_rule),
      provider_box_id = coalesce(p_box_id, provider_box_id), idempotent = coalesce(p_idempotent, idempotent),
      late_cancel_hours = nullif(coalesce(p_late_cancel_hours, late_cancel_hours), 0)
  where id = p_id;
  return jsonb_build_object('verdict', case when found then 'changed' else 'no_venue' end);
end $$;

-- Removes a venue with its logins, repeats and settled prebookings. Returns {"verdict", "pending", "settled", "logins",
-- "repeats"}: 'removed'; 'waiting' if it has pending prebookings; or 'no_venue'.
create function public.remove_venue_v1(p_id uuid)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_pending bigint; v_settled bigint; v_logins bigint; v_repeats bigint;
begin
  -- With this lock no other transaction can add a prebooking or a login of this venue.
  perform from public.venues where id = p_id for update;
  if not found then
    return jsonb_build_object('verdict', 'no_venue');
  end if;
  select count(*) filter (where status = 'pending'), count(*) filter (where status <> 'pending') into v_pending, v_settled
  from public.prebookings where venue_id = p_id;
  select count(*) into v_repeats from public.repeats where venue_id = p_id;
  if v_pending > 0 then
    return jsonb_build_object('verdict', 'waiting', 'pending', v_pending, 'repeats', v_repeats);
  end if;
  select count(*) into v_logins from public.member_sessions where venue_id = p_id;
  delete from public.venues where id = p_id;
  return jsonb_build_object('verdict', 'removed', 'settled', v_settled, 'logins', v_logins, 'repeats', v_repeats);
end $$;

-- Returns the logins of a member (null: of all members), encrypted, with their next opening.
create function public.list_sessions_v1(p_user_email text)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'user_email', s.user_email, 'expired_at', s.expired_at, 'remembered', s.password is not null,
    'session', jsonb_build_object('sealed', s.sealed, 'version', s.version, 'refreshed_at', s.refreshed_at),
    'next_opening', (select min(p.available_at) from public.prebookings p
      where p.venue_id = s.venue_id and lower(p.user_email) = s.user_email and p.status = 'pending'),
    'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
      'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent))
    order by lower(v.name), s.user_email), '[]')
  from public.member_sessions s join public.venues v on v.id = s.venue_id
  where p_user_email is null or s.user_email = public.prebooking_member(p_user_email)
$$;

-- Adds a prebooking. Returns {"verdict", "id"}, with the id of the new row or of the existing one that conflicts:
--   added
--   waiting    a prebooking of this class is pending
--   booked     the class is booked for the member; p_again adds the row anyway, because the place was cancelled at the venue
--   same_hour  another class, "class_name" at "venue", starts at the same time, and is pending or booked; p_anyway adds the row
--   too_many   five prebookings of the member are pending at this opening
--   begun      the class has begun
--   no_venue
--   bad_data   booking_data cannot be used; "why" has the reason
-- p_after are the earlier choices of the same request, in order: the new row stands after the last of them, and its hour may be
-- one of theirs, because only one choice gets a place.
create function public.add_prebooking_v1(
  p_id uuid, p_venue uuid, p_user_email text, p_booking_data jsonb, p_available_at timestamptz, p_expires_at timestamptz,
  p_again boolean, p_anyway boolean default true, p_after uuid[] default '{}')
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  v_member constant text := public.prebooking_member(p_user_email);
  v_class constant text := public.prebooking_class_key(p_booking_data);
  v_verdict text; v_id uuid; v_warning text;
begin
  if v_member is null then
    raise exception 'a member is an e-mail address in ASCII' using errcode = '22023';
  end if;
  if exists (select 1 from public.prebookings where id = p_id) then
    return jsonb_build_object('verdict', 'added', 'id', p_id);
  end if;
  if not exists (select 1 from public.venues where id = p_venue) then
    return jsonb_build_object('verdict', 'no_venue');
  end if;
  if p_expires_at <= public.prebooking_clock() then
    return jsonb_build_object('verdict', 'begun');
  end if;
  select x.verdict, x.id into v_verdict, v_id from (
    select p.id, p.status, case
      when v.id = p_venue and public.prebooking_class_key(p.booking_data) = v_class and p.status = 'pending' then 'waiting'
      when v.id = p_venue and public.prebooking_class_key(p.booking_data) = v_class and p.expires_at = p_expires_at then 'booked'
      when p.expires_at = p_expires_at and p.id <> all (p_after) then 'same_hour' end as verdict
    -- Two queries, because there is an index for each status.
    from public.venues v cross join lateral (
      select * from public.prebookings where venue_id = v.id and lower(user_email) = v_member and status = 'pending'
      union all
      select * from public.prebookings
      where venue_id = v.id and lower(user_email) = v_member and status = 'completed' and given_back_at is null) p) x
  where x.verdict = 'waiting' or (x.verdict = 'booked' and not p_again) or (x.verdict = 'same_hour' and not p_anyway)
  order by x.verdict = 'waiting' desc, x.verdict = 'booked' desc, x.status = 'completed' desc limit 1;
  if v_verdict is null then
    begin
      insert into public.prebookings (id, venue_id, user_email, booking_data, available_at, expires_at, stands_after)
        values (p_id, p_venue, p_user_email, p_booking_data, p_available_at, p_expires_at, p_after[cardinality(p_after)])
        on conflict do nothing returning id, warning into v_id, v_warning;
      v_verdict := case when found then 'added' else 'waiting' end;
      if v_warning like 'bad\_data: %' then
        raise exception 'this is not added' using errcode = 'PV000';
      end if;
    exception
      -- The insert is rolled back; the variables keep their values.
      when sqlstate 'PV000' then
        return jsonb_build_object('verdict', 'bad_data', 'why', v_warning);
      -- Raised by prebookings_limit.
      when sqlstate 'PT409' then
        return jsonb_build_object('verdict', 'too_many');
    end;
  end if;
  -- Another transaction has added it meanwhile, or the first try of this call.
  if v_verdict = 'waiting' and v_id is null then
    select id into v_id from public.prebookings
    where venue_id = p_venue and lower(user_email) = v_member and status = 'pending'
      and public.prebooking_class_key(booking_data) = v_class;
    v_verdict := case when v_id = p_id then 'added' else 'waiting' end;
  end if;
  return jsonb_build_object('verdict', v_verdict, 'id', v_id) || coalesce((
    select jsonb_build_object('venue', v.name, 'class_name', p.booking_data ->> 'class_name')
    from public.prebookings p join public.venues v on v.id = p.venue_id where p.id = v_id and v_verdict = 'same_hour'), '{}');
end $$;

-- Returns the prebookings of a member (null: of all members), ordered by the start of their classes: pending ones, with a
-- warning if their login does not work, and those settled in the last p_settled_days days. A login that is not refreshed
-- works for half an hour; with a remembered password it is made anew before the opening. If there are more than p_limit rows,
-- it prefers pending ones, and then those nearest to now.
--
-- Its cost follows the rows that it returns, not the rows that are pending. Of all members, the nearest rows are the first ones
-- in each direction of an index. Of one member, they are found by an index per venue. Settled rows are read only if the pending
-- ones do not fill the list. The clock is read once, and the days are a range with two ends, so that Postgres uses the index,
-- also without statistics.
create function public.list_prebookings_v1(p_user_email text, p_settled_days int, p_limit int)
returns jsonb language sql volatile security invoker set search_path = '' set jit = off set enable_sort = off as $$
  with clock as materialized (
    select public.prebooking_clock() as t, public.prebooking_member(p_user_email) as member, least(greatest(p_limit, 1), 1000) as rows),
  pending as materialized (
    (select p.* from public.prebookings p
      where p_user_email is null and p.status = 'pending' and p.expires_at >= (select t from clock) order by p.expires_at limit 1000)
    union all
    (select p.* from public.prebookings p
      where p_user_email is null and p.status = 'pending' and p.expires_at < (select t from clock) order by p.expires_at desc limit 1000)
    union all
    -- "offset 0" keeps the search per venue.
    select p.* from public.venues v cross join lateral (
      select * from public.prebookings
      where venue_id = v.id and lower(user_email) = (select member from clock) and status = 'pending' offset 0) p
    where p_user_email is not null),
  recent as (
    select * from pending
    union all
    select * from public.prebookings
    where settled_at between (select t from clock) - p_settled_days * interval '1 day' and 'infinity'
      and (select count(*) from pending) < (select rows from clock)
      and (p_user_email is null or lower(user_email) = (select member from clock))),
  chosen as materialized (
    select * from recent
    order by status <> 'pending', abs(extract(epoch from expires_at) - extract(epoch from (select t from clock)))
    limit (select rows from clock))
  select coalesce(jsonb_agg(x.row order by x.expires_at, x.created_at, x.id), '[]')
  from (
    select p.expires_at, p.created_at, p.id, jsonb_build_object(
      'id', p.id, 'venue', v.name, 'timezone', v.timezone, 'venue_enabled', v.enabled, 'user_email', p.user_email,
      'class_id', p.booking_data ->> 'class_id', 'class_name', p.booking_data ->> 'class_name',
      'available_at', p.available_at, 'expires_at', p.expires_at, 'status', p.status, 'outcome', p.outcome,
      'being_booked', p.status = 'pending' and (p.claimed_by is not null or p.maybe_sent),
      'warning', case when p.status = 'pending' then coalesce(p.warning, case
        when v.provider <> all (public.prebooking_systems_with('logins')) then null
        when s.sealed is null then 'session_expired: nobody has logged in: do so within the 7 days before booking opens.'
        when s.password is null and (s.expired_at is not null or s.refreshed_at <= (select t from clock) - interval '30 minutes')
          then 'session_expired: log in again within the 7 days before booking opens; from then on it is kept alive.' end) end,
      'class_unknown', p.class_unknown, 'class_warning', p.class_warning, 'error_message', p.error_message,
      'lateness_ms', p.lateness_ms, 'settled_at', p.settled_at, 'given_back_at', p.given_back_at,
      'place', l.place, 'place_since', l.since, 'position', l.position,
      'choice', c.number, 'first_choice', c.id, 'promoted', p.promoted_at is not null) as row
    from chosen p join public.venues v on v.id = p.venue_id
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email)
    left join public.prebooking_places l on l.prebooking_id = p.id
    -- The number of a later choice, and the first choice of its request.
    left join lateral (
      with recursive earlier as (
        select p.stands_after as id, 2 as number
        union all
        select e.stands_after, number + 1 from earlier join public.prebookings e on e.id = earlier.id
        where e.stands_after is not null)
      select id, number from earlier order by number desc limit 1) c on p.stands_after is not null) x
$$;

-- Returns the numbers of due prebookings that a deployment with these providers does not book now, per reason: the name of a
-- provider that it lacks, 'paused' (the venue is paused by hand, or after a failure), 'no_login' or 'other_key' (by the
-- claim).
create function public.due_elsewhere_v1(p_providers text[])
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_object_agg(r.reason, r.n), '{}')
  from (
    select case
        when v.provider <> all (p_providers) then v.provider
        when not v.enabled or coalesce(v.paused_until > public.prebooking_clock(), false) then 'paused'
        when p.warning like 'no\_login: %' then 'no_login'
        when p.warning like 'other\_key: %' then 'other_key' end as reason, count(*) as n
    from public.prebookings p join public.venues v on v.id = p.venue_id
    where p.status = 'pending' and p.claimed_by is null and not p.waits and p.available_at <= public.prebooking_clock() group by 1) r
  where r.reason is not null
$$;

-- Returns what a claim would take now. The claim is executed and rolled back, with its heartbeat and its lock.
create function public.preview_claim_v1(
  p_instance uuid, p_providers text[], p_limit int, p_fire_within_ms int, p_stagger_ms int,
  p_lead_ms int, p_lease_ms int, p_turn_ms int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare answer jsonb;
begin
  begin
    answer := public.claim_due_prebookings_v1(
      p_instance, p_providers, p_limit, p_fire_within_ms, p_stagger_ms, p_lead_ms, p_lease_ms, p_turn_ms);
    raise exception 'a preview stops here' using errcode = 'PV000';
  -- The inner block is rolled back; its variables keep their values.
  exception when sqlstate 'PV000' then
    null;
  end;
  -- Without the members' sessions, because the result is shown to a person.
  return answer || jsonb_build_object('rows', (
    select coalesce(jsonb_agg(r.row - 'session'), '[]') from jsonb_array_elements(answer -> 'rows') as r(row)));
end $$;

grant insert (id, name, provider, host, provider_box_id, timezone, opening_rule),
  update (name, timezone, opening_rule, enabled, provider_box_id, idempotent, late_cancel_hours), delete on public.venues to service_role;
grant insert (id, venue_id, user_email, booking_data, available_at, expires_at) on public.prebookings to service_role;
revoke all on function public.prebooking_local_instant, public.add_venue_v1, public.list_venues_v1, public.enable_venue_v1, public.set_venue_box_v1,
  public.edit_venue_v1, public.remove_venue_v1, public.prebooking_member, public.due_elsewhere_v1,
  public.list_sessions_v1, public.add_prebooking_v1,
  public.list_prebookings_v1, public.preview_claim_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_local_instant, public.add_venue_v1, public.list_venues_v1, public.enable_venue_v1, public.set_venue_box_v1,
  public.edit_venue_v1, public.remove_venue_v1, public.prebooking_member, public.due_elsewhere_v1,
  public.list_sessions_v1, public.add_prebooking_v1,
  public.list_prebookings_v1, public.preview_claim_v1 to service_role;
notify pgrst, 'reload schema';
