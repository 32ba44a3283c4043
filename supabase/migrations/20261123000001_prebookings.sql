-- Prebookings: who wants which class, and what became of it. Plain SQL, no extension, Postgres 15 and later.
--
-- A claim is a lease on a pending row, not a state: pending -> completed | failed | cancelled, and nothing in between.
-- Two instants belong to a claim:
--   claimed_until  safety: until then nobody else may touch the row (its request may still be under way at the venue);
--   turn_until     order: until then the holder may still send first calls, so nobody else starts on the same opening.
-- The turn is as long as a run's guard (8 s), the lease far longer (30 s): an invocation that died costs those who compete
-- with its rows a turn, and only its own rows the lease.

-- An instant that this project can have to do with. This prevents a row that cannot be read ('infinity', the year 20000) or
-- reckoned with (4714 BC) from stopping the claim, the lists or the reports of everybody.
create domain public.prebooking_instant as timestamptz
  check (value >= timestamptz '2000-01-01 00:00:00+00' and value < timestamptz '2200-01-01 00:00:00+00');

-- The venue systems, and what each can do: as prebooking/systems.py has it. A new one is one more line, in a migration that
-- replaces this function.
create function public.prebooking_systems() returns jsonb language sql immutable security invoker set search_path = '' as $$
  select jsonb_build_object(
    'webhook', '["idempotency"]'::jsonb,
    'aimharder', '["timetable", "logins"]'::jsonb)
$$;

-- The names of the venue systems that can do this.
create function public.prebooking_systems_with(p_ability text)
returns text[] language sql immutable security invoker set search_path = '' as $$
  select array(select key from jsonb_each(public.prebooking_systems()) where value ? p_ability)
$$;

create table public.venues (
  id              uuid primary key default gen_random_uuid(),
  name            text not null,
  provider        text not null check (public.prebooking_systems() ? provider),
  -- The full host name in ASCII, nothing round it. No label may begin with xn--: what httpx cannot decode there it raises.
  host            text check (
    host ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
    and host !~ '(^|\.)xn--' and length(host) <= 253),
  provider_box_id text,
  -- IANA, "Europe/Madrid": written as such, and known here. One that is not known raises 22023, 'time zone "..." not recognized'.
  -- A name with a number has that offset here, whatever the name is. So only those of the list with a number are taken.
  timezone        text not null check (
    timezone ~ '^(UTC|(?!posix/|right/)[A-Za-z_]+(/[A-Za-z_-]+)+|Etc/GMT([+-]?[0-9]|[+-]1[0-2]|-1[34]))$'
    and (timestamptz 'epoch' at time zone timezone) is not null),
  -- When booking opens, on the venue's own clock: "4 days before", "72 hours before" (elapsed), "3 days before at 20:00".
  opening_rule    text check (opening_rule ~ '^[1-9][0-9]{0,2} (days? before( at ([01][0-9]|2[0-3]):[0-5][0-9])?|hours? before)$'),
  enabled         boolean not null default true,
  -- Not called before: five minutes after it blocked us, one minute after it could not be reached.
  paused_until    public.prebooking_instant,
  -- Since when it has blocked us or could not be reached. Null: it is healthy. Its next clear answer sets it to null.
  troubled_since  public.prebooking_instant,
  -- Its last clear answer to a booking call, to the second.
  answered_at     public.prebooking_instant,
  -- The same key sent twice books once: a row in doubt is confirmed by sending it again.
  idempotent      boolean not null default false,
  constraint aimharder_needs_host check (provider <> 'aimharder' or host is not null),
  -- Only an endpoint of one's own can know a key: anywhere else this would let a row in doubt be sent blindly.
  constraint aimharder_knows_no_keys check (not idempotent or public.prebooking_systems() -> provider ? 'idempotency'));

create table public.prebookings (
  id              uuid primary key default gen_random_uuid(),
  venue_id        uuid not null references public.venues on delete cascade,
  -- Printable ASCII, compared by lower(). This prevents two addresses that look alike from becoming one member.
  user_email      text not null check (user_email ~ '^[!-~]+$' and length(user_email) <= 320),
  booking_data    jsonb not null check (jsonb_typeof(booking_data) = 'object'),
  available_at    public.prebooking_instant not null,                       -- the opening
  expires_at      public.prebooking_instant not null,                       -- the class's start; left out: available_at + 24 h
  status          text not null default 'pending' check (status in ('pending', 'completed', 'failed', 'cancelled')),
  outcome         text,
  booking_id      text,
  error_message   text check (length(error_message) <= 300),
  warning         text check (length(warning) <= 300),                      -- what the member should do before the opening
  attempts        int not null default 0,                                   -- booking calls known to have been sent
  unclear         int not null default 0,                                   -- of these, calls without a clear answer
  early_since     public.prebooking_instant,                                -- the venue's first "too early"
  missing_since   public.prebooking_instant,                                -- the venue's full list did not have the class
  blocks          int not null default 0,                                   -- calls of this row that were answered "blocked" ...
  blocked_at      public.prebooking_instant,                                -- ... and the end of the last run with such a call
  setbacks        int not null default 0,                                   -- runs in a row in which it could not get on
  retry_after     public.prebooking_instant,                                -- not claimed before; null: nothing held it up
  if_not_booked   text,                                                     -- its outcome, if the venue is asked and says no
  claimed_by      uuid,
  claimed_until   public.prebooking_instant,
  turn_until      public.prebooking_instant,
  maybe_sent      boolean not null default false,                           -- ask the venue before anything is sent again
  -- Nobody holds it and nothing has held it up: such rows are claimed before all others.
  fresh           boolean not null generated always as
    (claimed_by is null and not maybe_sent and retry_after is null and blocks = 0) stored,
  settled_by      uuid,                                                     -- the claim that settled it; null: expired or cancelled
  fired_at        public.prebooking_instant,                                -- the first call's first byte, on this database's clock
  answered_at     public.prebooking_instant,
  settled_at      public.prebooking_instant,
  -- From the opening, or from when it was asked for, if that was later.
  lateness_ms     bigint generated always as ((extract(epoch from fired_at - greatest(available_at, created_at)) * 1000)::bigint) stored,
  created_at      public.prebooking_instant not null default clock_timestamp(),
  constraint opens_before_it_expires check (available_at < expires_at),
  -- A row is settled exactly when it is terminal: this prevents an end without an instant, and an instant without an end.
  constraint terminal_is_settled check ((status <> 'pending') = (settled_at is not null)),
  -- Nobody holds a settled row.
  constraint terminal_is_free check (status = 'pending' or claimed_by is null),
  -- A claim has a holder, a lease and a turn, or it is no claim.
  constraint claim_is_whole check (num_nulls(claimed_by, claimed_until, turn_until) in (0, 3)),
  -- Every end says which; an outcome of the wrong kind cannot stand beside a status.
  constraint outcome_fits_status check (case status
    when 'completed' then coalesce(outcome in ('booked', 'already_booked', 'waitlisted', 'reconciled'), false)
    when 'failed' then coalesce(outcome in ('full', 'no_credit', 'limit_reached', 'too_early', 'payment_due', 'too_late',
      'conflict_same_hour', 'class_gone', 'session_expired', 'rejected', 'bad_data', 'expired', 'unknown'), false)
    else outcome is null end));

-- The class that booking_data asks for, in one normal form: 4711, "4711" and " 4711 " are one class. Without a class_id the
-- data as a whole stands for the class.
create function public.prebooking_class_key(p_booking_data jsonb) returns text
language sql immutable security invoker set search_path = '' as $$
  select coalesce(
    nullif(btrim(p_booking_data ->> 'class_id', E' \t\n\x0b\f\r\u0085\u00a0\u1680\u2007\u200b\u202f\u3000\ufeff'), ''),
    md5(p_booking_data::text))
$$;

-- What the scheduler reads by is over pending rows only: a million old rows cost the claim nothing.
create index prebookings_due on public.prebookings (venue_id, available_at, created_at, id) where status = 'pending';
create index prebookings_held_back on public.prebookings (venue_id, available_at, created_at, id) where status = 'pending' and not fresh;
create index prebookings_expiring on public.prebookings (expires_at) where status = 'pending';
create index prebookings_held on public.prebookings (claimed_by) where status = 'pending' and claimed_by is not null;
-- One live prebooking per member and class: this prevents a double tap in a member's app from becoming two bookings.
create unique index prebookings_one_live on public.prebookings
  (venue_id, lower(user_email), public.prebooking_class_key(booking_data)) where status = 'pending';
-- What an operator reads by, of rows that have ended: is this booked for the member already, and what ended since.
create index prebookings_booked on public.prebookings (venue_id, lower(user_email)) where status = 'completed';
create index prebookings_settled on public.prebookings (settled_at) where settled_at is not null;

-- A member's login at a venue where the member's own login books: sealed by the function's key, never a password.
-- A refresh token is good for one refresh, so refreshing is leased, and every version but the newest is worthless.
create table public.member_sessions (
  venue_id        uuid not null references public.venues on delete cascade,
  user_email      text not null check (user_email ~ '^[!-~]+$' and length(user_email) <= 320 and user_email = lower(user_email)),
  sealed          text not null check (length(sealed) <= 16384),
  key_id          text check (key_id ~ '^[0-9a-f]{16}$'),                   -- which key has sealed it; null: unknown
  version         int not null default 1,
  refreshed_at    public.prebooking_instant not null,
  expired_at      public.prebooking_instant,                                -- the venue wants the member to log in again
  leased_by       uuid,
  leased_until    public.prebooking_instant,
  primary key (venue_id, user_email),
  -- A lease has a holder and an end, or it is none.
  constraint lease_is_whole check (num_nulls(leased_by, leased_until) in (0, 2)));

-- One row per invocation that had work or failed. closed_at null: it was cut off before its end.
create table public.prebooking_runs (
  instance_id     uuid primary key,
  opened_at       public.prebooking_instant not null,
  closed_at       public.prebooking_instant,
  claimed         int not null default 0,
  expired         int not null default 0,                                   -- ended unsent: nobody came before the class began
  unknown         int not null default 0,                                   -- ended in doubt: nobody could find out in time
  released        int not null default 0,
  claim_ms        int,                                                      -- its slowest claim, without the wait for the lock
  summary         jsonb);
create index prebooking_runs_opened on public.prebooking_runs (opened_at);

-- One row: "the trigger is dead" is the age of its instant. Null: it has never called.
create table public.prebooking_heartbeat (
  only_one        boolean primary key default true check (only_one),
  last_tick_at    public.prebooking_instant,                                -- the scheduler's trigger
  providers       text[],                                                   -- ... the venue systems that it was set up for
  sessions_at     public.prebooking_instant);                               -- the session keeper's trigger

-- Why AimHarder's booker cannot read this booking_data, as a warning for the member; null: it can.
create function public.prebooking_bad_data(p_booking_data jsonb) returns text
language plpgsql immutable security invoker set search_path = '' as $$
declare
  v_day constant text := btrim(p_booking_data ->> 'day', E' \t\n\x0b\f\r\u00a0');
  v_digits constant text := replace(v_day, '-', '');
begin
  if public.prebooking_plain_id(p_booking_data -> 'class_id') is not true then
    return 'bad_data: class_id is not the number of a class at AimHarder. Cancel this prebooking and add it again.';
  end if;
  -- Adds the days to the first of the month: a date that does not exist is then in another month.
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

-- true: this is a number as AimHarder gives them, or its text, spaces round it or not.
create function public.prebooking_plain_id(p_value jsonb) returns boolean
language sql immutable security invoker set search_path = '' as $$
  select jsonb_typeof(p_value) in ('string', 'number') and btrim(p_value #>> '{}', E' \t\n\x0b\f\r\u00a0') ~ '^[A-Za-z0-9_]{1,40}$'
$$;

-- Fills in what was left out, and warns about data that would only be found unreadable at the opening.
create function public.prebookings_fill() returns trigger language plpgsql set search_path = '' as $$
begin
  new.expires_at := coalesce(new.expires_at, new.available_at + interval '24 hours');
  if (select provider from public.venues where id = new.venue_id) = 'aimharder' then
    new.warning := coalesce(public.prebooking_bad_data(new.booking_data), case when new.warning not like 'bad\_data: %' then new.warning end);
  end if;
  return new;
end $$;
create trigger prebookings_fill before insert on public.prebookings
  for each row execute function public.prebookings_fill();
-- No other warning takes the place of this one, as long as the data is what it is.
create trigger prebookings_reread before update on public.prebookings
  for each row when (new.booking_data is distinct from old.booking_data or new.venue_id <> old.venue_id
    or (old.warning like 'bad\_data: %' and new.warning is distinct from old.warning))
  execute function public.prebookings_fill();

create function public.prebookings_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'prebooking % is settled, or is being booked', old.id using errcode = 'PT409';
end $$;
-- A claimed or doubtful row is neither cancelled nor made into another one: its request may be at the venue, and first that
-- has to be found out. This prevents two places for one prebooking, and a call at the opening from before the change.
create trigger prebookings_being_booked before update on public.prebookings
  for each row when (old.status = 'pending' and (old.claimed_by is not null or old.maybe_sent) and (new.status = 'cancelled'
    or (new.id, new.venue_id, new.user_email, new.booking_data, new.available_at, new.expires_at)
      is distinct from (old.id, old.venue_id, old.user_email, old.booking_data, old.available_at, old.expires_at)))
  execute function public.prebookings_refuse();

-- Nor is its venue made into another one: that one would be asked about the call, and has no such place.
create function public.venues_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
  if exists (
    select 1 from public.prebookings
    where venue_id = old.id and status = 'pending' and not fresh and (claimed_by is not null or maybe_sent)) then
    raise exception 'prebookings of venue % are being booked there: add another venue', old.id using errcode = 'PT409';
  end if;
  return new;
end $$;
create trigger venues_being_booked before update of provider, host on public.venues
  for each row when ((new.provider, new.host) is distinct from (old.provider, old.host))
  execute function public.venues_refuse();

-- What was noted of a row's calls says nothing about the prebooking that an app makes of it. This prevents a corrected opening
-- from waiting for the back-off of the wrong one, or from ending at its first "too early".
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

-- At most five live prebookings of one member at one opening: this prevents one member from taking the slots of the others.
-- Openings less than a minute apart are one opening here, because the rows of all of them are called one after the other.
-- Two connections that add for one member take turns, so that the second one counts what the first one has added. The lock
-- is one of 1024: a statement that adds many thousand members must not use up the server's table of locks.
create function public.prebookings_limit() returns trigger language plpgsql set search_path = '' as $$
begin
  perform pg_advisory_xact_lock(7302, hashtext(lower(new.user_email)) & 1023);
  if 5 < (
    select count(*) filter (where live.available_at - new.available_at > interval '-1 minute'
      and live.available_at - new.available_at < interval '1 minute')
    from (
      select p.available_at from public.prebookings p
      where p.status = 'pending' and p.venue_id = new.venue_id and lower(p.user_email) = lower(new.user_email) offset 0) live) then
    raise exception 'one member can have five pending prebookings for one opening: cancel one of them first'
      using errcode = 'PT409', constraint = 'five_for_one_opening';
  end if;
  return null;
end $$;
create trigger prebookings_limit after insert on public.prebookings
  for each row when (new.status = 'pending') execute function public.prebookings_limit();
create trigger prebookings_limit_moved after update of venue_id, user_email, available_at on public.prebookings
  for each row when (new.status = 'pending' and (new.venue_id, lower(new.user_email), new.available_at)
    is distinct from (old.venue_id, lower(old.user_email), old.available_at))
  execute function public.prebookings_limit();

-- The service role alone, with what the functions need and no more, whatever the project's default privileges are
-- (some projects grant everything by name to anon and authenticated, newer ones nothing to anybody).
alter table public.venues               enable row level security, force row level security;
alter table public.prebookings          enable row level security, force row level security;
alter table public.member_sessions      enable row level security, force row level security;
alter table public.prebooking_runs      enable row level security, force row level security;
alter table public.prebooking_heartbeat enable row level security, force row level security;
revoke all on public.venues, public.prebookings, public.member_sessions, public.prebooking_runs, public.prebooking_heartbeat
  from public, anon, authenticated, service_role;
grant select on public.venues to service_role;
grant update (paused_until, troubled_since, answered_at) on public.venues to service_role;
grant select, update on public.prebookings to service_role;
grant select, insert, update on public.member_sessions to service_role;
grant select, insert, update, delete on public.prebooking_runs to service_role;
grant select, insert, update on public.prebooking_heartbeat to service_role;
revoke all on function public.prebooking_systems, public.prebooking_systems_with from public, anon, authenticated;
grant execute on function public.prebooking_systems, public.prebooking_systems_with to service_role;
revoke all on function public.prebooking_class_key, public.prebooking_bad_data, public.prebooking_plain_id, public.prebookings_fill,
  public.prebookings_refuse, public.venues_refuse, public.prebookings_begin_anew, public.prebookings_limit from public, anon, authenticated, service_role;
-- These run with the rights of the role that writes a row, also for the key of the index.
grant execute on function public.prebooking_class_key, public.prebooking_bad_data, public.prebooking_plain_id to service_role;
