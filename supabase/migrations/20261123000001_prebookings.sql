-- Prebookings: who wants which class, and what became of it. Plain SQL, no extension, Postgres 15 and later.
--
-- A claim is a lease on a pending row, not a state: pending -> completed | failed | cancelled, and nothing in between.
-- Two instants belong to a claim:
--   claimed_until  safety: until then nobody else may touch the row (its request may still be under way at the venue);
--   turn_until     order: until then the holder may still send first calls, so nobody else starts on the same opening.
-- The turn is as long as a run's guard (8 s), the lease far longer (30 s): an invocation that died costs those who compete
-- with its rows a turn, and only its own rows the lease.

create table public.venues (
  id              uuid primary key default gen_random_uuid(),
  name            text not null,
  provider        text not null check (provider in ('aimharder', 'webhook')),
  host            text check (host = lower(host) and host !~ '[/\s@]'),     -- the full host name, nothing round it
  provider_box_id text,
  -- IANA, "Europe/Madrid": written as such, and known here. One that is not known raises 22023, 'time zone "..." not recognized'.
  timezone        text not null check (
    timezone ~ '^(UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$' and (timestamptz 'epoch' at time zone timezone) is not null),
  -- When booking opens, on the venue's own clock: "4 days before", "72 hours before" (elapsed), "3 days before at 20:00".
  opening_rule    text check (opening_rule ~ '^[1-9][0-9]{0,2} (days? before( at ([01][0-9]|2[0-3]):[0-5][0-9])?|hours? before)$'),
  enabled         boolean not null default true,
  paused_until    timestamptz,                                              -- set for five minutes when the venue blocks us
  idempotent      boolean not null default false,                           -- the same key sent twice books once: confirm by sending again
  constraint aimharder_needs_host check (provider <> 'aimharder' or host is not null),
  -- Only an endpoint of one's own can know a key: anywhere else this would let a row in doubt be sent blindly.
  constraint aimharder_knows_no_keys check (provider <> 'aimharder' or not idempotent));

create table public.prebookings (
  id              uuid primary key default gen_random_uuid(),
  venue_id        uuid not null references public.venues,
  user_email      text not null,
  booking_data    jsonb not null check (jsonb_typeof(booking_data) = 'object'),
  available_at    timestamptz not null check (isfinite(available_at)),      -- the opening
  expires_at      timestamptz not null check (isfinite(expires_at)),        -- the class's start; left out: available_at + 24 h
  status          text not null default 'pending' check (status in ('pending', 'completed', 'failed', 'cancelled')),
  outcome         text,
  booking_id      text,
  error_message   text check (length(error_message) <= 300),
  warning         text check (length(warning) <= 300),                      -- what the member should do before the opening
  attempts        int not null default 0,                                   -- booking calls known to have been sent
  early_runs      int not null default 0,                                   -- runs in which the venue only said "too early"
  claimed_by      uuid,
  claimed_until   timestamptz,
  turn_until      timestamptz,
  maybe_sent      boolean not null default false,                           -- ask the venue before anything is sent again
  settled_by      uuid,                                                     -- the claim that settled it; null: expired or cancelled
  fired_at        timestamptz,                                              -- the first call's first byte, on this database's clock
  answered_at     timestamptz,
  settled_at      timestamptz,
  -- From the opening, or from when it was asked for, if that was later.
  lateness_ms     bigint generated always as ((extract(epoch from fired_at - greatest(available_at, created_at)) * 1000)::bigint) stored,
  created_at      timestamptz not null default clock_timestamp(),
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

-- What the scheduler reads by is over pending rows only: a million old rows cost the claim nothing.
create index prebookings_due on public.prebookings (venue_id, available_at, created_at, id) where status = 'pending';
create index prebookings_expiring on public.prebookings (expires_at) where status = 'pending';
create index prebookings_held on public.prebookings (claimed_by) where status = 'pending' and claimed_by is not null;
-- One live prebooking per member and class: this prevents a double tap in a member's app from becoming two bookings.
create unique index prebookings_one_live on public.prebookings
  (venue_id, lower(user_email), coalesce(booking_data ->> 'class_id', md5(booking_data::text))) where status = 'pending';
-- What an operator reads by, of rows that have ended: is this booked for the member already, and what ended since.
create index prebookings_booked on public.prebookings (venue_id, lower(user_email)) where status = 'completed';
create index prebookings_settled on public.prebookings (settled_at) where settled_at is not null;

-- A member's login at a venue where the member's own login books: sealed by the function's key, never a password.
-- A refresh token is good for one refresh, so refreshing is leased, and every version but the newest is worthless.
create table public.member_sessions (
  venue_id        uuid not null references public.venues,
  user_email      text not null check (user_email = lower(user_email)),
  sealed          text not null check (length(sealed) <= 8192),
  version         int not null default 1,
  refreshed_at    timestamptz not null,
  expired_at      timestamptz,                                              -- the venue wants the member to log in again
  leased_by       uuid,
  leased_until    timestamptz,
  primary key (venue_id, user_email),
  -- A lease has a holder and an end, or it is none.
  constraint lease_is_whole check (num_nulls(leased_by, leased_until) in (0, 2)));

-- One row per invocation that had work or failed. closed_at null: it was cut off before its end.
create table public.prebooking_runs (
  instance_id     uuid primary key,
  opened_at       timestamptz not null,
  closed_at       timestamptz,
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
  last_tick_at    timestamptz,                                              -- the scheduler's trigger
  sessions_at     timestamptz);                                             -- the session keeper's trigger

create function public.prebookings_fill() returns trigger language plpgsql set search_path = '' as $$
begin
  new.expires_at := coalesce(new.expires_at, new.available_at + interval '24 hours');
  return new;
end $$;
create trigger prebookings_fill before insert on public.prebookings
  for each row execute function public.prebookings_fill();

create function public.prebookings_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'prebooking % is settled, or is being booked', old.id using errcode = 'PT409';
end $$;
create trigger prebookings_terminal before update on public.prebookings
  for each row when (old.status <> 'pending') execute function public.prebookings_refuse();
-- A claimed or doubtful row cannot be cancelled: its request may be at the venue, and first that has to be found out.
create trigger prebookings_being_booked before update on public.prebookings
  for each row when (new.status = 'cancelled' and (old.claimed_by is not null or old.maybe_sent))
  execute function public.prebookings_refuse();

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
grant update (paused_until) on public.venues to service_role;
grant select, update on public.prebookings to service_role;
grant select, insert, update on public.member_sessions to service_role;
grant select, insert, update, delete on public.prebooking_runs to service_role;
grant select, insert, update on public.prebooking_heartbeat to service_role;
revoke all on function public.prebookings_fill, public.prebookings_refuse from public, anon, authenticated, service_role;
