-- What an operator does from the command line. As the scheduler's functions: every change says what must be true, and the
-- answer is a verdict; what time it is, prebooking_clock() alone says. What is added has an id of the caller's choice, so
-- that asking again after a lost answer says 'added' again.

-- The instant at which a venue's clock shows this time, by the rule of prebooking/opening.py. A time that occurs twice is
-- the first of the two: "at time zone" alone takes the second. A time that a clock change leaves out is read with the
-- offset from before the change, as "at time zone" reads it.
create function public.prebooking_local_instant(p_local timestamp, p_zone text) returns timestamptz
language sql stable security invoker set search_path = '' as $$
  with second as (select p_local at time zone p_zone as t),
  first as (                                               -- read with the offset of the day before
    select t, (p_local - ((t - interval '1 day') at time zone p_zone - (t - interval '1 day') at time zone 'UTC')) at time zone 'UTC' as t1
    from second)
  select case when t1 at time zone p_zone = p_local then least(t1, t) else t end from first
$$;

-- The address of a member as it is compared everywhere; null, which equals none, for one that is not printable ASCII.
create function public.prebooking_member(p_user_email text) returns text
language sql immutable security invoker set search_path = '' as $$
  select case when p_user_email ~ '^[!-~]+$' then lower(p_user_email) end
$$;

-- {"verdict": "added" | "name_taken" | "box_taken", "id", "name"}: the venue's, or that of the one in its way. A venue is
-- called by its name, and the same box twice would be two lines at one place: neither politeness nor order would hold there.
-- Two of one host that both have no number yet could become the same box, too. One venue is added, or given its box, at a
-- time; what SQL in a browser adds is not looked at.
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

-- Every venue, by its name, with how many prebookings wait for it.
create function public.list_venues_v1()
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host, 'provider_box_id', v.provider_box_id,
    'timezone', v.timezone, 'opening_rule', v.opening_rule, 'idempotent', v.idempotent, 'enabled', v.enabled,
    'paused_until', case when v.paused_until > public.prebooking_clock() then v.paused_until end,
    'pending', (select count(*) from public.prebookings p where p.venue_id = v.id and p.status = 'pending'))
    order by lower(v.name)), '[]')
  from public.venues v
$$;

-- Stops a venue until somebody starts it again, or starts it, whatever had stopped it. It counts as healthy then, and its rows
-- are overdue from then on at the earliest, because its pause ends now. false: there is no such venue.
-- A run that holds rows of it already may still send them, for as long as its guard.
create function public.enable_venue_v1(p_id uuid, p_enabled boolean)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  update public.venues
  set enabled = p_enabled, paused_until = case when p_enabled then public.prebooking_clock() else paused_until end,
      troubled_since = case when not p_enabled then troubled_since end
  where id = p_id;
  return found;
end $$;

-- Gives a venue that was added without it the number of its box. {"verdict", "name"}: 'set' (it has this one now), or why
-- not: 'box_taken' (another venue, the one named, is this box), 'other_box' (it has another, or is gone).
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

-- Changes what is not null. {"verdict", "name"}: 'changed', or why not: 'name_taken' or 'box_taken' (by the venue named), 'no_venue'.
-- Prebookings that wait keep the openings that they were added with.
create function public.edit_venue_v1(p_id uuid, p_name text, p_timezone text, p_opening_rule text, p_box_id text, p_idempotent boolean)
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
      provider_box_id = coalesce(p_box_id, provider_box_id), idempotent = coalesce(p_idempotent, idempotent)
  where id = p_id;
  return jsonb_build_object('verdict', case when found then 'changed' else 'no_venue' end);
end $$;

-- Removes a venue with its logins and the prebookings that have ended there. {"verdict", "pending", "settled", "logins"}:
-- 'removed', or why not: 'waiting' (for so many pending prebookings), 'no_venue'.
create function public.remove_venue_v1(p_id uuid)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare v_pending bigint; v_settled bigint; v_logins bigint;
begin
  perform from public.venues where id = p_id for update;    -- until the end of this, nobody adds a prebooking or a login there
  if not found then
    return jsonb_build_object('verdict', 'no_venue');
  end if;
  select count(*) filter (where status = 'pending'), count(*) filter (where status <> 'pending') into v_pending, v_settled
  from public.prebookings where venue_id = p_id;
  if v_pending > 0 then
    return jsonb_build_object('verdict', 'waiting', 'pending', v_pending);
  end if;
  select count(*) into v_logins from public.member_sessions where venue_id = p_id;
  delete from public.venues where id = p_id;
  return jsonb_build_object('verdict', 'removed', 'settled', v_settled, 'logins', v_logins);
end $$;

-- A member's logins (null: everybody's), sealed as they are kept, with when they are needed next.
create function public.list_sessions_v1(p_user_email text)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'user_email', s.user_email, 'expired_at', s.expired_at,
    'session', jsonb_build_object('sealed', s.sealed, 'version', s.version, 'refreshed_at', s.refreshed_at),
    'next_opening', (select min(p.available_at) from public.prebookings p
      where p.venue_id = s.venue_id and lower(p.user_email) = s.user_email and p.status = 'pending'),
    'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
      'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent))
    order by lower(v.name), s.user_email), '[]')
  from public.member_sessions s join public.venues v on v.id = s.venue_id
  where p_user_email is null or s.user_email = public.prebooking_member(p_user_email)
$$;

-- A member's prebooking. {"verdict", "id"}: 'added', or why not, with the row in its way: 'waiting' (for this
-- class already), 'booked' (the class is booked for the member; p_again adds it nonetheless: the place was given back),
-- 'same_hour' (another class, "class_name" at "venue", begins then and is pending or booked; p_anyway adds it nonetheless), 'too_many'
-- (five of the member are pending at this opening), 'begun' (the class has), 'no_venue', 'bad_data' (with "why").
create function public.add_prebooking_v1(
  p_id uuid, p_venue uuid, p_user_email text, p_booking_data jsonb, p_available_at timestamptz, p_expires_at timestamptz,
  p_again boolean, p_anyway boolean default true)
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
      when p.expires_at = p_expires_at then 'same_hour' end as verdict
    from public.venues v cross join lateral (              -- so that there is an index for each of the two
      select * from public.prebookings where venue_id = v.id and lower(user_email) = v_member and status = 'pending'
      union all
      select * from public.prebookings where venue_id = v.id and lower(user_email) = v_member and status = 'completed') p) x
  where x.verdict = 'waiting' or (x.verdict = 'booked' and not p_again) or (x.verdict = 'same_hour' and not p_anyway)
  order by x.verdict = 'waiting' desc, x.verdict = 'booked' desc, x.status = 'completed' desc limit 1;
  if v_verdict is null then
    begin
      insert into public.prebookings (id, venue_id, user_email, booking_data, available_at, expires_at)
        values (p_id, p_venue, p_user_email, p_booking_data, p_available_at, p_expires_at)
        on conflict do nothing returning id, warning into v_id, v_warning;
      v_verdict := case when found then 'added' else 'waiting' end;
      if v_warning like 'bad\_data: %' then
        raise exception 'this is not added' using errcode = 'PV000';
      end if;
    exception
      when sqlstate 'PV000' then                           -- the row is gone again; the variables stay
        return jsonb_build_object('verdict', 'bad_data', 'why', v_warning);
      when sqlstate 'PT409' then                           -- of prebookings_limit
        return jsonb_build_object('verdict', 'too_many');
    end;
  end if;
  if v_verdict = 'waiting' and v_id is null then            -- somebody else has added it just now
    select id into v_id from public.prebookings
    where venue_id = p_venue and lower(user_email) = v_member and status = 'pending'
      and public.prebooking_class_key(booking_data) = v_class;
  end if;
  return jsonb_build_object('verdict', v_verdict, 'id', v_id) || coalesce((
    select jsonb_build_object('venue', v.name, 'class_name', p.booking_data ->> 'class_name')
    from public.prebookings p join public.venues v on v.id = p.venue_id where p.id = v_id and v_verdict = 'same_hour'), '{}');
end $$;

-- A member's prebookings (null: everybody's) in the order of their classes: what waits, and what is wrong with the login
-- it needs (one that nobody keeps alive yet lasts half an hour), and what ended in so many days. More than p_limit: what
-- waits goes before, and then what is nearest.
-- The clock is asked once, and days are a range with two ends: so the index serves, with and without statistics.
create function public.list_prebookings_v1(p_user_email text, p_settled_days int, p_limit int)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  with clock as materialized (select public.prebooking_clock() as t)
  select coalesce(jsonb_agg(x.row order by x.expires_at, x.created_at, x.id), '[]')
  from (
    select p.expires_at, p.created_at, p.id, jsonb_build_object(
      'id', p.id, 'venue', v.name, 'timezone', v.timezone, 'venue_enabled', v.enabled, 'user_email', p.user_email,
      'class_id', p.booking_data ->> 'class_id', 'class_name', p.booking_data ->> 'class_name',
      'available_at', p.available_at, 'expires_at', p.expires_at, 'status', p.status, 'outcome', p.outcome,
      'being_booked', p.status = 'pending' and (p.claimed_by is not null or p.maybe_sent),
      'warning', case when p.status = 'pending' then coalesce(p.warning, case
        when v.provider <> all (public.prebooking_systems_with('logins')) then null
        when s.sealed is null then 'session_expired: nobody has logged in: do so within the 24 hours before booking opens.'
        when s.expired_at is not null or s.refreshed_at <= (select t from clock) - interval '30 minutes'
          then 'session_expired: log in again within the 24 hours before booking opens; from then on it is kept alive.' end) end,
      'error_message', p.error_message,
      'lateness_ms', p.lateness_ms, 'settled_at', p.settled_at) as row
    from public.prebookings p join public.venues v on v.id = p.venue_id
    left join public.member_sessions s on s.venue_id = p.venue_id and s.user_email = lower(p.user_email)
    where (p_user_email is null or lower(p.user_email) = public.prebooking_member(p_user_email))
      and (p.status = 'pending' or p.settled_at between (select t from clock) - p_settled_days * interval '1 day' and 'infinity')
    order by p.status <> 'pending', abs(extract(epoch from p.expires_at) - extract(epoch from (select t from clock)))
    limit least(greatest(p_limit, 1), 1000)) x
$$;

-- Due prebookings that a deployment with these providers does not book now, by the reason: a provider that it lacks, 'paused'
-- (the venue is stopped, blocks us or cannot be reached), 'no_login' and 'other_key' (as the claim has found).
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
    where p.status = 'pending' and p.claimed_by is null and p.available_at <= public.prebooking_clock() group by 1) r
  where r.reason is not null
$$;

-- What a claim would take right now: it is carried out, and undone to the last trace, heartbeat and lock included.
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
  exception when sqlstate 'PV000' then                     -- the inner block is rolled back; its variables stay
    null;
  end;
  return answer || jsonb_build_object('rows', (             -- for a person's eyes: no session of a member's
    select coalesce(jsonb_agg(r.row - 'session'), '[]') from jsonb_array_elements(answer -> 'rows') as r(row)));
end $$;

grant insert (id, name, provider, host, provider_box_id, timezone, opening_rule),
  update (name, timezone, opening_rule, enabled, provider_box_id, idempotent), delete on public.venues to service_role;
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
