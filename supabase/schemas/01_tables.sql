-- The tables: venues, prebookings, members' sessions, runs and the heartbeat. Plain SQL, no extension, Postgres 15 and later.
--
-- The states of a prebooking are pending -> completed | failed | cancelled. A claim is not a state, but a lease on a pending
-- row. A claim has two deadlines:
--   claimed_until  safety: until then no other invocation may change the row, because its request may still reach the venue
--   turn_until     order: until then the holder may send first calls, so no other invocation claims rows of the same opening
-- The turn is as long as a run's guard (8 s), the lease is longer (30 s). When an invocation dies, the other rows of its
-- openings wait for the turn, and only the rows that it held wait for the lease.

-- An instant between 2000 and 2200. This prevents a row whose instant Python cannot read ('infinity', the year 20000), or with
-- which Postgres cannot calculate (4714 BC), from breaking the claim, the lists or the reports.
create domain public.prebooking_instant as timestamptz
  check (value >= timestamptz '2000-01-01 00:00:00+00' and value < timestamptz '2200-01-01 00:00:00+00');

-- The venue systems and their abilities, equal to those in prebooking/systems.py. To add one, write a migration that replaces
-- this function.
create function public.prebooking_systems() returns jsonb language sql immutable security invoker set search_path = '' as $$
  select jsonb_build_object(
    'webhook', '["idempotency", "give_back"]'::jsonb,
    'aimharder', '["timetable", "logins", "give_back"]'::jsonb)
$$;

-- Returns the names of the venue systems with this ability.
create function public.prebooking_systems_with(p_ability text)
returns text[] language sql immutable security invoker set search_path = '' as $$
  select array(select key from jsonb_each(public.prebooking_systems()) where value ? p_ability)
$$;

create table public.venues (
  id              uuid primary key default gen_random_uuid(),
  name            text not null,
  provider        text not null check (public.prebooking_systems() ? provider),
  -- The full host name in ASCII, without spaces. No label may begin with xn--, because httpx raises an error for labels there
  -- that it cannot decode.
  host            text check (
    host ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
    and host !~ '(^|\.)xn--' and length(host) <= 253),
  provider_box_id text,
  -- An IANA name like "Europe/Madrid" that Postgres knows. An unknown name raises 22023, 'time zone "..." not recognized'.
  -- Postgres reads any name with a number as an offset (POSIX), so only the listed names with a number are allowed.
  timezone        text not null check (
    timezone ~ '^(UTC|(?!posix/|right/)[A-Za-z_]+(/[A-Za-z_-]+)+|Etc/GMT([+-]?[0-9]|[+-]1[0-2]|-1[34]))$'
    and (timestamptz 'epoch' at time zone timezone) is not null),
  -- When booking opens, in the venue's local time: "4 days before", "72 hours before" (elapsed), "3 days before at 20:00".
  opening_rule    text check (opening_rule ~ '^[1-9][0-9]{0,2} (days? before( at ([01][0-9]|2[0-3]):[0-5][0-9])?|hours? before)$'),
  -- Until how many hours before its start a class can be given back without a late cancellation; null: reminders are off.
  late_cancel_hours int check (late_cancel_hours between 1 and 168),
  enabled         boolean not null default true,
  -- No calls before this instant: five minutes after the venue blocked us, one minute after it could not be reached.
  paused_until    public.prebooking_instant,
  -- The first time the venue blocked us or could not be reached; its next clear answer sets this to null. Null: healthy.
  troubled_since  public.prebooking_instant,
  -- No automatic login of a member before this instant: an hour after one was answered "too many attempts" or "blocked".
  logins_stopped_until public.prebooking_instant,
  -- The last clear answer to a booking call, with a resolution of a second.
  answered_at     public.prebooking_instant,
  -- The venue books once per Idempotency-Key. So a row in doubt is confirmed by sending it again with the same key.
  idempotent      boolean not null default false,
  -- The last time the venue blocked us or could not be reached. Answers before it do not set troubled_since to null, because
  -- they can be written later.
  troubled_at     public.prebooking_instant,
  constraint aimharder_needs_host check (provider <> 'aimharder' or host is not null),
  -- Only an own endpoint can support keys. For other venues this would send a row in doubt again without a query.
  constraint aimharder_knows_no_keys check (not idempotent or public.prebooking_systems() -> provider ? 'idempotency'));

create table public.prebookings (
  id              uuid primary key default gen_random_uuid(),
  venue_id        uuid not null references public.venues on delete cascade,
  -- Printable ASCII, compared in lower case. This prevents two different addresses that look alike.
  user_email      text not null check (user_email ~ '^[!-~]+$' and length(user_email) <= 320),
  booking_data    jsonb not null check (jsonb_typeof(booking_data) = 'object'),
  available_at    public.prebooking_instant not null,                       -- when booking opens (the "opening")
  expires_at      public.prebooking_instant not null,                       -- the start of the class; default: available_at + 24 h
  status          text not null default 'pending' check (status in ('pending', 'completed', 'failed', 'cancelled')),
  outcome         text,
  booking_id      text,
  error_message   text check (length(error_message) <= 300),
  warning         text check (length(warning) <= 300),                      -- a problem for the member to solve before the opening
  class_warning   text check (length(class_warning) <= 300),                -- what differs now from the class that was asked for
  class_unknown   boolean not null default false,                           -- its class is still to be found in the timetable
  stands_after    uuid,                                                     -- the earlier choice of the same request; null: the first
  promoted_at     public.prebooking_instant,                                -- the earlier choice was refused, so this one is called
  repeat_id       uuid,                                                     -- the repeat that added it
  repeat_day      date,                                                     -- its day, in the venue's local time
  attempts        int not null default 0,                                   -- booking calls known to have been sent
  unclear         int not null default 0,                                   -- of these, calls without a clear answer
  early_since     public.prebooking_instant,                                -- time of the venue's first "too early" answer
  missing_since   public.prebooking_instant,                                -- time of the first query whose list has no such class
  blocks          int not null default 0,                                   -- calls of this row that were answered "blocked"
  blocked_at      public.prebooking_instant,                                -- end of the run that last set blocks to 1
  setbacks        int not null default 0,                                   -- runs without progress since the last "not booked"
  retry_after     public.prebooking_instant,                                -- not claimed before this; null: no back-off
  if_not_booked   text,                                                     -- its outcome, if a query finds no booking
  claimed_by      uuid,
  claimed_until   public.prebooking_instant,
  turn_until      public.prebooking_instant,
  maybe_sent      boolean not null default false,                           -- in doubt: query the venue before the next call
  -- Never claimed while this is true: its class is not known yet, or an earlier choice can still get a place.
  waits           boolean not null generated always as
    (class_unknown or (stands_after is not null and promoted_at is null)) stored,
  -- Not held, not in doubt, never blocked and without a back-off: such rows are claimed before all others.
  fresh           boolean not null generated always as
    (claimed_by is null and not maybe_sent and retry_after is null and blocks = 0
      and not class_unknown and (stands_after is null or promoted_at is not null)) stored,
  settled_by      uuid,                                                     -- the run that settled it; null: expired or cancelled
  fired_at        public.prebooking_instant,                                -- the first call's first byte, on this database's clock
  answered_at     public.prebooking_instant,
  settled_at      public.prebooking_instant,
  given_back_at   public.prebooking_instant,                                -- the place was given back; only for completed rows
  -- Counted from the opening, or from created_at or promoted_at if one of them was later.
  lateness_ms     bigint generated always as
    ((extract(epoch from fired_at - greatest(available_at, created_at, promoted_at)) * 1000)::bigint) stored,
  created_at      public.prebooking_instant not null default clock_timestamp(),
  constraint opens_before_it_expires check (available_at < expires_at),
  constraint only_a_place_is_given_back check (given_back_at is null or status = 'completed'),
  constraint only_a_later_choice_is_promoted check (promoted_at is null or stands_after is not null),
  constraint waiting_is_not_held check (claimed_by is null or not waits),
  constraint repeat_has_a_day check (num_nulls(repeat_id, repeat_day) in (0, 2)),
  -- settled_at is set if and only if the row is no longer pending.
  constraint terminal_is_settled check ((status <> 'pending') = (settled_at is not null)),
  -- A settled row has no holder.
  constraint terminal_is_free check (status = 'pending' or claimed_by is null),
  -- A claim has a holder, a lease and a turn, or none of them.
  constraint claim_is_whole check (num_nulls(claimed_by, claimed_until, turn_until) in (0, 3)),
  -- A completed or failed row has an outcome that fits its status; other rows have none.
  constraint outcome_fits_status check (case status
    when 'completed' then coalesce(outcome in ('booked', 'already_booked', 'waitlisted', 'reconciled'), false)
    when 'failed' then coalesce(outcome in ('full', 'no_credit', 'limit_reached', 'too_early', 'payment_due', 'too_late',
      'conflict_same_hour', 'class_gone', 'session_expired', 'rejected', 'bad_data', 'expired', 'unknown'), false)
    else outcome is null end));

-- Returns the key of the class in booking_data, in a normal form: 4711, "4711" and " 4711 " are one class. Without a class_id
-- the whole data identifies the class.
create function public.prebooking_class_key(p_booking_data jsonb) returns text
language sql immutable security invoker set search_path = '' as $$
  select coalesce(
    nullif(btrim(p_booking_data ->> 'class_id', E' \t\n\x0b\f\r\u0085\u00a0\u1680\u2007\u200b\u202f\u3000\ufeff'), ''),
    md5(p_booking_data::text))
$$;

-- The scheduler's indexes contain pending rows only, so that settled rows do not slow the claim down.
create index prebookings_due on public.prebookings (venue_id, available_at, created_at, id) where status = 'pending';
-- The fresh rows in the order of the claim.
create index prebookings_next on public.prebookings (available_at, created_at, id) where status = 'pending' and fresh;
create index prebookings_held_back on public.prebookings (venue_id, available_at, created_at, id)
  where status = 'pending' and not fresh and not waits;
-- One pending choice after each earlier one. This prevents two of them from being promoted together.
create unique index prebookings_after on public.prebookings (stands_after) where status = 'pending' and stands_after is not null;
create unique index prebookings_of_repeats on public.prebookings (repeat_id, repeat_day) where repeat_id is not null and stands_after is null;
create index prebookings_expiring on public.prebookings (expires_at) where status = 'pending';
-- Rows that were called and are still pending, for the operator's figures.
create index prebookings_called on public.prebookings (fired_at) where status = 'pending' and fired_at is not null;
-- With the id, because the writes of an outcome name a row and its invocation, and the planner prefers this small index.
create index prebookings_held on public.prebookings (claimed_by, id) where status = 'pending' and claimed_by is not null;
-- One pending prebooking per member and class. This prevents two bookings when a member's app adds a prebooking twice.
create unique index prebookings_one_live on public.prebookings
  (venue_id, lower(user_email), public.prebooking_class_key(booking_data)) where status = 'pending';
-- The operator's indexes of settled rows: by member, to find existing bookings, and by the time of the end.
create index prebookings_booked on public.prebookings (venue_id, lower(user_email)) where status = 'completed';
create index prebookings_settled on public.prebookings (settled_at) where settled_at is not null;

-- Places on waiting lists, which are looked at until the class begins.
create index prebookings_waitlisted on public.prebookings (expires_at)
  where status = 'completed' and outcome = 'waitlisted' and given_back_at is null;

-- Members' logins at venues that are booked with them, encrypted with the function's key: the sessions, and the passwords of
-- members who asked for automatic logins.
-- A refresh token works once. So a refresh needs a lease, and only the newest version of a session is valid.
create table public.member_sessions (
  venue_id        uuid not null references public.venues on delete cascade,
  user_email      text not null check (user_email ~ '^[!-~]+$' and length(user_email) <= 320 and user_email = lower(user_email)),
  sealed          text not null check (length(sealed) <= 16384),
  key_id          text check (key_id ~ '^[0-9a-f]{16}$'),                   -- the key that encrypted it; null: unknown
  version         int not null default 1,
  refreshed_at    public.prebooking_instant not null,
  expired_at      public.prebooking_instant,                                -- the venue refused it: a new login is needed
  -- The password, encrypted, of a member who asked to be logged in automatically; null: not remembered.
  password        text check (length(password) <= 16384),
  password_key_id text check (password_key_id ~ '^[0-9a-f]{16}$'),
  -- Automatic logins are recorded before they are made: the opening of the last one, and their number on its UTC day.
  login_tried_at  public.prebooking_instant,
  login_tried_for public.prebooking_instant,
  logins_that_day int not null default 0,
  leased_by       uuid,
  leased_until    public.prebooking_instant,
  primary key (venue_id, user_email),
  -- A lease has a holder and an end, or none of them.
  constraint lease_is_whole check (num_nulls(leased_by, leased_until) in (0, 2)),
  constraint password_is_whole check (num_nulls(password, password_key_id) in (0, 2)));

-- What a look at the venue has shown about a place on a waiting list. The outcome of the prebooking stays 'waitlisted'.
create table public.prebooking_places (
  prebooking_id   uuid primary key references public.prebookings on delete cascade,
  place           text check (place in ('waiting', 'booked', 'lost')),      -- null: no look had a clear answer
  since           public.prebooking_instant,                                -- the first look that showed this place
  position        int check (position between 1 and 999999),                -- on the waiting list; null: the venue does not tell
  looked_at       public.prebooking_instant,                                -- the last look with a clear answer
  tried_for       public.prebooking_instant,                                -- when the last look was due
  tries           int not null default 0,                                   -- tries of that look
  leased_by       uuid,
  leased_until    public.prebooking_instant,
  constraint place_is_whole check (num_nulls(place, since, looked_at) in (0, 3)),
  constraint only_waiting_has_a_position check (position is null or place = 'waiting'),
  constraint lease_is_whole check (num_nulls(leased_by, leased_until) in (0, 2)));

-- One row per invocation that had work or failed. closed_at null: the invocation was killed, or still runs.
create table public.prebooking_runs (
  instance_id     uuid primary key,
  opened_at       public.prebooking_instant not null,
  closed_at       public.prebooking_instant,
  claimed         int not null default 0,
  expired         int not null default 0,                                   -- rows ended as 'expired'
  unknown         int not null default 0,                                   -- rows ended as 'unknown'
  released        int not null default 0,
  claim_ms        int,                                                      -- its slowest claim, without the wait for the lock
  summary         jsonb);
create index prebooking_runs_opened on public.prebooking_runs (opened_at);

-- One row with the last call of each trigger. Null: the trigger has never called.
create table public.prebooking_heartbeat (
  only_one        boolean primary key default true check (only_one),
  last_tick_at    public.prebooking_instant,                                -- the scheduler's trigger
  providers       text[],                                                   -- the venue systems of that invocation
  sessions_at     public.prebooking_instant,                                -- upkeep's trigger
  watchdog_at     public.prebooking_instant,                                -- the last report to the watchdog at HEARTBEAT_URL
  watchdog_by     uuid,                                                     -- the upkeep that made it
  version         text check (length(version) <= 40));                      -- of the deployment whose upkeep called last

-- Only the service role gets privileges, and only those that the functions need. All others are revoked, because older
-- projects grant everything to anon and authenticated by default.
alter table public.venues               enable row level security, force row level security;
alter table public.prebookings          enable row level security, force row level security;
alter table public.member_sessions      enable row level security, force row level security;
alter table public.prebooking_runs      enable row level security, force row level security;
alter table public.prebooking_heartbeat enable row level security, force row level security;
alter table public.prebooking_places    enable row level security, force row level security;
revoke all on public.venues, public.prebookings, public.member_sessions, public.prebooking_places, public.prebooking_runs,
  public.prebooking_heartbeat
  from public, anon, authenticated, service_role;
grant select on public.venues to service_role;
grant update (paused_until, troubled_since, troubled_at, answered_at) on public.venues to service_role;
grant select, update on public.prebookings to service_role;
grant select, insert, update on public.member_sessions to service_role;
grant select, insert, update on public.prebooking_places to service_role;
grant select, insert, update, delete on public.prebooking_runs to service_role;
grant select, insert, update on public.prebooking_heartbeat to service_role;
revoke all on function public.prebooking_systems, public.prebooking_systems_with from public, anon, authenticated;
grant execute on function public.prebooking_systems, public.prebooking_systems_with to service_role;
-- The role that writes a row computes the key of the index.
revoke all on function public.prebooking_class_key from public, anon, authenticated, service_role;
grant execute on function public.prebooking_class_key to service_role;

-- The service role bypasses row security. The policies exist because Supabase's linter reports tables with row security and
-- without a policy.
create policy service_role_only on public.venues               to service_role using (true) with check (true);
create policy service_role_only on public.prebookings          to service_role using (true) with check (true);
create policy service_role_only on public.member_sessions      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_places    to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_runs      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_heartbeat to service_role using (true) with check (true);

-- Limits for what a member's app writes. A claim's answer has up to 500 rows with their sessions, and is read up to 16 MiB.
-- This prevents one prebooking of some megabytes from making every claim's answer too long to be read.

alter table public.prebookings
  add constraint booking_data_is_short check (octet_length(booking_data::text) <= 6144);

-- Each row of that answer contains its venue.
alter table public.venues
  add constraint venue_is_short check (length(name) <= 200 and length(provider_box_id) <= 40);
