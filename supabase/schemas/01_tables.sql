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
-- The index's key is computed as the role that writes the row.
revoke all on function public.prebooking_class_key from public, anon, authenticated, service_role;
grant execute on function public.prebooking_class_key to service_role;

-- The service role passes by row security anyway, but Supabase's linter reports a table that has row security and no policy,
-- because a policy could have been forgotten.
create policy service_role_only on public.venues               to service_role using (true) with check (true);
create policy service_role_only on public.prebookings          to service_role using (true) with check (true);
create policy service_role_only on public.member_sessions      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_runs      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_heartbeat to service_role using (true) with check (true);

-- How long what a member's app writes may be: an answer to the claim has up to 500 rows with their logins, and is read up
-- to 16 MiB. Without this, one wish of some megabytes would be in every claim's answer, and nobody would be booked any more.

alter table public.prebookings
  add constraint booking_data_is_short check (octet_length(booking_data::text) <= 6144);

-- Each row of that answer has its venue in it.
alter table public.venues
  add constraint venue_is_short check (length(name) <= 200 and length(provider_box_id) <= 40);
