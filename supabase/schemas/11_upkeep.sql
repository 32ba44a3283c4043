-- The class look-up, a part of upkeep: a prebooking keeps what the member meant, and its class_id is found in the venue's
-- timetable. booking_data has what was meant in day, starts_at and class_name (absent: whatever begins at that hour).

-- The days of the venues' timetables that were read. A day is read once for all prebookings of it.
create table public.class_days (
  venue_id        uuid not null references public.venues on delete cascade,
  day             date not null,
  read_at         public.prebooking_instant,                                -- the last time that it was read
  failed_at       public.prebooking_instant,                                -- the last try, if it could not be read
  leased_by       uuid,
  leased_until    public.prebooking_instant,
  primary key (venue_id, day),
  -- A lease has a holder and an end, or none of them.
  constraint lease_is_whole check (num_nulls(leased_by, leased_until) in (0, 2)));
create index class_days_past on public.class_days (day);
-- Rows whose class is not known yet: the look-up reads them also after their opening.
create index prebookings_class_unknown on public.prebookings (venue_id) where status = 'pending' and class_unknown;

-- Returns the day in booking_data, written YYYYMMDD or YYYY-MM-DD; null if it cannot be read.
create function public.prebooking_class_day(p_booking_data jsonb) returns date
language plpgsql immutable security invoker set search_path = '' as $$
declare
  v_day    constant text := btrim(p_booking_data ->> 'day', E' \t\n\x0b\f\r\u00a0');
  v_digits constant text := replace(v_day, '-', '');
  v_date   date;
begin
  if coalesce(jsonb_typeof(p_booking_data -> 'day'), '') not in ('string', 'number')
      or v_day !~ '^[12][0-9]{3}(-?)(0[1-9]|1[0-2])\1(0[1-9]|[12][0-9]|3[01])$' then
    return null;
  end if;
  -- The first of the month plus the day - 1 is in another month if the date does not exist.
  v_date := make_date(left(v_digits, 4)::int, substr(v_digits, 5, 2)::int, 1) + right(v_digits, 2)::int - 1;
  return case when extract(month from v_date) = substr(v_digits, 5, 2)::int then v_date end;
end $$;

-- Returns when the class begins on the venue's clock, as HH24:MI, from starts_at: a local time (HH:MM, with or without the
-- date), or an instant with an offset (ISO 8601). Null if it cannot be read.
create function public.prebooking_class_start(p_booking_data jsonb, p_timezone text) returns text
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_starts constant text := btrim(p_booking_data ->> 'starts_at');
  v_local  constant text := substring(v_starts from '^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ])?((?:[01][0-9]|2[0-3]):[0-5][0-9])(?::[0-9]{2})?$');
begin
  if v_local is null
      and v_starts ~ '^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})$' then
    return to_char(v_starts::timestamptz at time zone p_timezone, 'HH24:MI');
  end if;
  return v_local;
-- A date or an hour that does not exist.
exception when data_exception then
  return null;
end $$;

-- Returns what was meant, as it is compared with the timetable; null if the row cannot be looked up, because its day or its
-- hour cannot be read, or a value is longer than any name of a class. Rows with the same result are looked up together.
create function public.prebooking_class_wanted(p_booking_data jsonb, p_timezone text) returns jsonb
language sql stable cost 1000 security invoker set search_path = '' as $$
  -- What is no text and no whole number counts as absent: JSON has numbers that Python cannot send back.
  select jsonb_build_object('starts', w.starts,
    'class_id', case when jsonb_typeof(w.id) = 'string' or w.id::text ~ '^-?[0-9]{1,40}$' then w.id end,
    'class_name', case when jsonb_typeof(w.name) = 'string' or w.name::text ~ '^-?[0-9]{1,40}$' then w.name end)
  from (select public.prebooking_class_start(p_booking_data, p_timezone) as starts,
    p_booking_data -> 'class_id' as id, p_booking_data -> 'class_name' as name) w
  where w.starts is not null and public.prebooking_class_day(p_booking_data) is not null
    and octet_length(p_booking_data ->> 'class_id') <= 500 is not false
    and octet_length(p_booking_data ->> 'class_name') <= 500 is not false
$$;

-- Returns what the rows of these venue systems want whose class is looked up now: rows that open within a day, but not within a
-- minute, and that are neither held nor in doubt; and rows whose class is not known yet, also after their opening. Earlier than a
-- day before the opening nothing is read: a timetable changes, and a repeat would read two weeks ahead all the time. Rows that want
-- the same at the same opening are one; day is null if it cannot be read.
create function public.prebooking_classes_wanted(t timestamptz, p_providers text[])
returns table (venue_id uuid, day date, available_at timestamptz, class_unknown boolean, created_at timestamptz, meant jsonb, timezone text)
language sql stable security invoker set search_path = '' as $$
  select m.venue_id, public.prebooking_class_day(m.meant), m.available_at, m.class_unknown, m.created_at, m.meant, m.timezone
  from (
    select v.id as venue_id, v.timezone, p.available_at, p.class_unknown, max(p.created_at) as created_at, p.meant
    from public.venues v cross join lateral (
      select available_at, class_unknown, created_at, jsonb_build_object('day', booking_data -> 'day',
        'starts_at', booking_data -> 'starts_at', 'class_id', booking_data -> 'class_id', 'class_name', booking_data -> 'class_name') as meant
      from (
        select * from public.prebookings
        where venue_id = v.id and status = 'pending' and not class_unknown and claimed_by is null and not maybe_sent
          and available_at > t + interval '1 minute' and available_at <= t + interval '24 hours'
        union all
        select * from public.prebookings
        where venue_id = v.id and status = 'pending' and class_unknown and expires_at > t and available_at <= t + interval '24 hours') asked) p
    where v.provider = any (p_providers) and v.provider = any (public.prebooking_systems_with('timetable'))
      and v.enabled and (v.paused_until is null or v.paused_until <= t) and v.provider_box_id is not null
    group by v.id, p.available_at, p.class_unknown, p.meant) m
$$;

-- Returns the days that have to be read now, with the first opening of their rows. A day is read
--   - for these rows: six hours after the last time;
--   - in the last hour before an opening, once for each opening;
--   - within that hour also for rows without a class that were added since the last time.
-- A day that could not be read is tried again after a quarter of an hour.
create function public.prebooking_class_days_due(t timestamptz, p_providers text[])
returns table (venue_id uuid, day date, opens timestamptz)
language sql stable security invoker set search_path = '' set jit = off as $$
  select a.venue_id, a.day, min(a.available_at)
  from public.prebooking_classes_wanted(t, p_providers) a left join public.class_days d on d.venue_id = a.venue_id and d.day = a.day
  where a.day is not null and (d.leased_until is null or d.leased_until <= t or d.leased_until > t + interval '5 minutes')  -- no lease is that long
    and (d.failed_at is null or d.failed_at <= t - interval '15 minutes' or d.failed_at > t)
    and (d.read_at is null or d.read_at <= t - interval '6 hours' or d.read_at > t
      or (a.available_at <= t + interval '1 hour'
        and (d.read_at < a.available_at - interval '1 hour' or (a.class_unknown and d.read_at < a.created_at))))
    and public.prebooking_class_wanted(a.meant, a.timezone) is not null
  group by a.venue_id, a.day
$$;

-- Returns whether a day has to be read now.
create function public.upkeep_classes_due(t timestamptz, p_providers text[]) returns boolean
language sql stable security invoker set search_path = '' as $$
  select exists (select from public.prebooking_class_days_due(t, p_providers))
$$;

-- Leases the days that have to be read now, for half a minute: those of the first openings, at most three per venue. Returns
-- [{"venue", "day", "wanted": [...]}]; the caller reads each day, and settles it with settle_class_day_v1. Callers at the same
-- time do not wait for each other: the second one gets nothing.
create function public.claim_class_days_v1(p_instance uuid, p_providers text[], p_limit int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' set jit = off as $$
declare
  t       timestamptz;
  v_days  jsonb;
begin
  if not pg_try_advisory_xact_lock(7301, 4) then
    return '[]';
  end if;
  -- Read after the lock: so it contains the leases of earlier callers.
  t := public.prebooking_clock();
  delete from public.class_days where day < (t - interval '2 days')::date;
  with wanted as materialized (select * from public.prebooking_classes_wanted(t, p_providers)),
  chosen as materialized (
    select n.venue_id, n.day, n.opens from (
      select d.*, row_number() over (partition by d.venue_id order by d.opens, d.day) as position
      from public.prebooking_class_days_due(t, p_providers) d) n
    where n.position <= 3 order by n.opens, n.day, n.venue_id limit p_limit),
  leased as (
    insert into public.class_days as d (venue_id, day, leased_by, leased_until)
    select c.venue_id, c.day, p_instance, t + interval '30 seconds' from chosen c
    on conflict (venue_id, day) do update set leased_by = excluded.leased_by, leased_until = excluded.leased_until
    returning d.venue_id, d.day)
  select coalesce(jsonb_agg(jsonb_build_object('day', l.day, 'wanted', w.wanted,
      'venue', jsonb_build_object('id', v.id, 'name', v.name, 'provider', v.provider, 'host', v.host,
        'provider_box_id', v.provider_box_id, 'timezone', v.timezone, 'idempotent', v.idempotent))
    order by c.opens, l.day, l.venue_id), '[]')
  into v_days
  from leased l join chosen c on c.venue_id = l.venue_id and c.day = l.day join public.venues v on v.id = l.venue_id
  cross join lateral (
    select jsonb_agg(distinct a.wanted) as wanted from (
      select public.prebooking_class_wanted(r.meant, r.timezone) as wanted from wanted r
      where r.venue_id = l.venue_id and r.day = l.day) a
    where a.wanted is not null) w;
  return v_days;
end $$;

-- Sets what was found for one row: its class_id, if there is one and it is another class than before, and its warning. Returns
-- whether it did; a row that another transaction is changing is left to the next look-up.
create function public.prebooking_set_class(p_id uuid, p_class_id text, p_warning text) returns boolean
language plpgsql volatile security invoker set search_path = '' as $$
begin
  update public.prebookings
  set class_warning = p_warning, booking_data = case
    when p_class_id is null or public.prebooking_class_key(jsonb_build_object('class_id', p_class_id)) = public.prebooking_class_key(booking_data)
      then booking_data
    else booking_data || jsonb_build_object('class_id', p_class_id) end
  where id = p_id and status = 'pending' and claimed_by is null and not maybe_sent;
  return found;
exception
  when unique_violation then
    update public.prebookings
    set class_warning = 'class_twice: another prebooking of this member is for the same class. Cancel one of the two.'
    where id = p_id and status = 'pending' and claimed_by is null and not maybe_sent;
    return found;
  -- booking_data would be too long, or the class of the other prebooking is being changed.
  when check_violation or lock_not_available then
    return false;
end $$;

-- Stores what was found on a day, and ends its lease. p_found: [{"wanted", "class_id", "warning"}], null if the day could not
-- be read. It looks again whether each row may be changed, and skips rows that are locked. It changes at most 500 rows, so that
-- it ends in time: then the day is read again a quarter of an hour later, for the other rows. Returns the number of changed
-- rows; null if this invocation does not hold the day, and nothing was changed.
create function public.settle_class_day_v1(p_instance uuid, p_venue_id uuid, p_day date, p_found jsonb)
returns int language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' set jit = off as $$
declare
  t       constant timestamptz := public.prebooking_clock();
  v_row   record;
  n       int := 0;
begin
  update public.class_days
  set leased_by = null, leased_until = null,
      read_at = case when p_found is null then read_at else t end, failed_at = case when p_found is null then t end
  where venue_id = p_venue_id and day = p_day and leased_by = p_instance;
  if not found then
    return null;
  end if;
  for v_row in
    with asked as materialized (
      select r.id, r.booking_data, public.prebooking_class_wanted(r.booking_data, v.timezone) as wanted
      from public.prebookings r join public.venues v on v.id = r.venue_id
      where r.venue_id = p_venue_id and r.status = 'pending' and r.booking_data ->> 'day' like '%' || to_char(p_day, 'DD') || '%'
        and public.prebooking_class_day(r.booking_data) = p_day)
    select p.id, f.value ->> 'class_id' as class_id, f.value ->> 'warning' as warning
    from jsonb_array_elements(p_found) f join asked a on a.wanted = f.value -> 'wanted'
    join public.prebookings p on p.id = a.id and p.booking_data = a.booking_data
    where p.status = 'pending' and p.claimed_by is null and not p.maybe_sent
      and (p.class_unknown or p.available_at > t + interval '1 minute')
      and (f.value ->> 'warning' is distinct from p.class_warning or f.value ->> 'class_id' <> coalesce(p.booking_data ->> 'class_id', ''))
    order by p.available_at, p.created_at, p.id limit 500 for no key update of p skip locked
  loop
    n := n + public.prebooking_set_class(v_row.id, v_row.class_id, v_row.warning)::int;
  end loop;
  if n = 500 then
    update public.class_days set read_at = null, failed_at = t where venue_id = p_venue_id and day = p_day;
  end if;
  return n;
end $$;

alter table public.class_days enable row level security, force row level security;
create policy service_role_only on public.class_days to service_role using (true) with check (true);
revoke all on public.class_days from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.class_days to service_role;
revoke all on function public.prebooking_class_day, public.prebooking_class_start, public.prebooking_class_wanted,
  public.prebooking_classes_wanted, public.prebooking_class_days_due, public.upkeep_classes_due, public.claim_class_days_v1,
  public.prebooking_set_class, public.settle_class_day_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_class_day, public.prebooking_class_start, public.prebooking_class_wanted,
  public.prebooking_classes_wanted, public.prebooking_class_days_due, public.upkeep_classes_due, public.claim_class_days_v1,
  public.prebooking_set_class, public.settle_class_day_v1 to service_role;
notify pgrst, 'reload schema';
