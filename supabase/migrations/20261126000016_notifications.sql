-- Notifications: members and the operator are told what happened. The transaction that changes a prebooking also stores what
-- is to be told about it, one row per event and channel. Upkeep leases these rows, sends them, and stores the results.
--
-- A row is sent until its receiver has taken it. If an answer is lost, or upkeep is killed between sending and storing the
-- result, the same id is sent again, so a receiver that compares ids has one message per id.

-- Where somebody is told. Its host is the operator's, so a member cannot make the function call an address of their choosing.
create table public.notification_channels (
  id              uuid primary key default gen_random_uuid(),
  -- The member, who is told about their own prebookings. Null: the operator, who is told about everybody's.
  user_email      text check (user_email ~ '^[!-~]+$' and length(user_email) <= 320 and user_email = lower(user_email)),
  kind            text not null check (kind in ('webhook', 'mail', 'ntfy', 'telegram')),
  -- An e-mail address, a topic of ntfy, or a chat of Telegram. The address of the webhook is a setting of the function.
  address         text not null check (length(address) <= 320),
  events          text[] not null check (cardinality(events) > 0 and events <@ array[
    'booked', 'waitlisted', 'failed', 'warned', 'moved_up', 'given_back', 'reminder', 'alert']),
  language        text not null default 'en' check (language in ('en', 'es')),
  quiet_from      time,                                                     -- in the venue's local time
  quiet_until     time,
  created_at      public.prebooking_instant not null default clock_timestamp(),
  failed_at       public.prebooking_instant,                                -- its last message was not taken; null: it was
  failure         text check (length(failure) <= 100),                      -- a code of ours, never a text of the receiver
  constraint address_fits_kind check (case kind
    when 'webhook' then address = ''
    when 'mail' then address ~ '^[!-?A-~]+@[!-?A-~]+$'
    when 'ntfy' then address ~ '^[A-Za-z0-9_-]{1,64}$'
    else address ~ '^(-?[0-9]{1,19}|@[A-Za-z0-9_]{4,32})$' end),
  constraint only_the_operator_gets_alerts check (user_email is null or not 'alert' = any (events)),
  constraint quiet_hours_are_whole check (num_nulls(quiet_from, quiet_until) in (0, 2) and quiet_from <> quiet_until),
  constraint failure_is_whole check (num_nulls(failed_at, failure) in (0, 2)),
  constraint one_channel_per_address unique nulls not distinct (user_email, kind, address));

create table public.notifications (
  id              uuid primary key default gen_random_uuid(),               -- receivers see it, and it never changes
  prebooking_id   uuid references public.prebookings on delete cascade,     -- null: an alert for the operator
  event           text not null check (event in (
    'booked', 'waitlisted', 'failed', 'warned', 'moved_up', 'given_back', 'reminder', 'alert')),
  about           text not null default '' check (length(about) <= 100),    -- a warning's code, an alert's cause and hour
  -- No foreign key: the transaction that settles a prebooking would wait for one that removes the channel.
  channel_id      uuid not null,
  due_at          public.prebooking_instant not null,                       -- when the event happened, or when quiet hours end
  next_at         public.prebooking_instant not null,                       -- when it is sent: due_at, later the end of a pause or a lease
  created_at      public.prebooking_instant not null default clock_timestamp(),
  status          text not null default 'waiting' check (status in ('waiting', 'sent', 'dead')),
  attempts        int not null default 0,
  unsure          boolean not null default false,                           -- an earlier attempt may have reached the receiver
  leased_by       uuid,                                                     -- the upkeep that sends it, or was the last to do so
  leased_until    public.prebooking_instant,                                -- null: it is not being sent
  settled_at      public.prebooking_instant,
  failure         text check (length(failure) <= 100),                      -- why the last attempt failed, a code of ours
  constraint only_alerts_are_about_no_prebooking check ((prebooking_id is null) = (event = 'alert')),
  constraint lease_has_a_holder check (leased_until is null or leased_by is not null),
  constraint end_is_settled check ((status <> 'waiting') = (settled_at is not null)),
  constraint end_is_free check (status = 'waiting' or leased_until is null),
  -- This prevents two messages about one event, whatever is done twice.
  constraint told_once unique nulls not distinct (prebooking_id, event, about, channel_id));
create index notifications_due on public.notifications (next_at) where status = 'waiting';
create index notifications_settled on public.notifications (settled_at) where settled_at is not null;

-- Returns when quiet hours, in this time zone, let a message pass: t, or the end of the quiet hours in which t lies.
create function public.prebooking_quiet_until(t timestamptz, p_from time, p_until time, p_timezone text) returns timestamptz
language sql stable security invoker set search_path = '' as $$
  select case when p_from is null or (case
      when p_from < p_until then local_time < p_from or local_time >= p_until
      else local_time < p_from and local_time >= p_until end) then t
    -- In a repeated hour, quiet hours end at the first of the two instants; t may be after it already.
    else greatest(t, public.prebooking_local_instant(today + p_until + case when local_time < p_until then interval '0' else interval '1 day' end, p_timezone)) end
  from (select (t at time zone p_timezone)::date as today, (t at time zone p_timezone)::time as local_time) l
$$;

-- Returns when a message about an event at t is due. A failure, and a warning less than twelve hours before the opening, do not
-- wait for the end of quiet hours.
create function public.prebooking_notify_at(
  t timestamptz, p_event text, p_available_at timestamptz, p_from time, p_until time, p_timezone text)
returns timestamptz language sql stable security invoker set search_path = '' as $$
  select case when p_event = 'failed' or (p_event = 'warned' and p_available_at < t + interval '12 hours') then t
    else public.prebooking_quiet_until(t, p_from, p_until, p_timezone) end
$$;

-- Returns when a member is reminded of a place that can be given back until p_limit: an hour before it. A reminder that would
-- wait until after the limit is sent when those quiet hours begin.
create function public.prebooking_reminder_at(p_limit timestamptz, p_from time, p_until time, p_timezone text)
returns timestamptz language sql stable security invoker set search_path = '' as $$
  select case when r.waits_until < p_limit then r.waits_until
    else public.prebooking_local_instant(
      r.local_at::date + p_from - case when r.local_at::time < p_from then interval '1 day' else interval '0' end, p_timezone) end
  from (select public.prebooking_quiet_until(p_limit - interval '1 hour', p_from, p_until, p_timezone) as waits_until,
               (p_limit - interval '1 hour') at time zone p_timezone as local_at) r
$$;

-- Returns the reminders that are due and not stored yet, for members' channels that want them. It uses the current limit of the
-- venue. Places that were booked less than an hour before the limit are left out, and those that are given back.
create function public.prebooking_reminders_due(t timestamptz) returns table (prebooking_id uuid, channel_id uuid)
language sql stable security invoker set search_path = '' as $$
  select p.id, c.id
  from public.notification_channels c cross join public.venues v
  join public.prebookings p on p.venue_id = v.id and lower(p.user_email) = c.user_email and p.status = 'completed'
  left join public.prebooking_places l on l.prebooking_id = p.id
  cross join lateral (select p.expires_at - v.late_cancel_hours * interval '1 hour' as ends_at) e
  cross join lateral (select public.prebooking_reminder_at(e.ends_at, c.quiet_from, c.quiet_until, v.timezone) as due_at) d
  where 'reminder' = any (c.events) and v.late_cancel_hours is not null and p.given_back_at is null
    and (p.outcome <> 'waitlisted' or l.place = 'booked')
    and e.ends_at > t and d.due_at <= t and p.settled_at < d.due_at
    and not exists (
      select from public.notifications n where n.prebooking_id = p.id and n.event = 'reminder' and n.channel_id = c.id)
$$;

-- Stores that an event is to be told on every channel that wants it. It locks nothing but the new rows.
create function public.prebooking_notify(p public.prebookings, p_event text, p_about text) returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare t timestamptz := public.prebooking_clock();
begin
  insert into public.notifications (prebooking_id, event, about, channel_id, due_at, next_at, created_at)
  select p.id, p_event, left(p_about, 100), c.id, d.due_at, d.due_at, t
  from public.venues v, public.notification_channels c cross join lateral (
    select public.prebooking_notify_at(t, p_event, p.available_at, c.quiet_from, c.quiet_until, v.timezone) as due_at) d
  where v.id = p.venue_id and (c.user_email = lower(p.user_email) or c.user_email is null) and p_event = any (c.events)
  on conflict on constraint told_once do nothing;
end $$;

-- Stores what is to be told about a change of a prebooking, in the transaction that makes it. Where nobody has a channel, it
-- costs one look at the channels. A failure here, for instance a table that is locked, is written to the database's log, and
-- does not prevent the change. The first row waits for that lock, and the others of its transaction do not: a claim may end
-- thousands of rows.
create function public.prebookings_tell() returns trigger language plpgsql set search_path = '' set lock_timeout = '100ms' as $$
begin
  if current_setting('prebooking.notifications_locked', true) = 'true' then
    raise lock_not_available;
  end if;
  if not exists (
      select from public.notification_channels c where c.user_email = lower(new.user_email) or c.user_email is null) then
    return null;
  end if;
  if old.status = 'pending' and new.status in ('completed', 'failed') then
    perform public.prebooking_notify(new, case when new.status = 'failed' then 'failed'
      when new.outcome = 'waitlisted' then 'waitlisted' else 'booked' end, '');
  end if;
  if new.status = 'pending' and new.warning is distinct from old.warning and new.warning is not null then
    perform public.prebooking_notify(new, 'warned', split_part(new.warning, ':', 1));
  end if;
  if new.status = 'pending' and new.class_warning is distinct from old.class_warning and new.class_warning is not null then
    perform public.prebooking_notify(new, 'warned', split_part(new.class_warning, ':', 1));
  end if;
  if old.given_back_at is null and new.given_back_at is not null then
    perform public.prebooking_notify(new, 'given_back', '');
  end if;
  return null;
exception when others then
  perform set_config('prebooking.notifications_locked', (sqlstate = '55P03')::text, true);
  raise warning 'what happened to prebooking % is not told: %', new.id, sqlstate;
  return null;
end $$;
create trigger prebookings_told after update on public.prebookings
  for each row when (old.status = 'pending' and new.status in ('completed', 'failed')
    or new.warning is distinct from old.warning and new.warning is not null
    or new.class_warning is distinct from old.class_warning and new.class_warning is not null
    or old.given_back_at is null and new.given_back_at is not null)
  execute function public.prebookings_tell();
-- A prebooking whose data cannot be read has its warning from the beginning.
create trigger prebookings_warned after insert on public.prebookings
  for each row when (new.warning is not null or new.class_warning is not null)
  execute function public.prebookings_tell();

-- Stores that a promotion from a waiting list is to be told, in the transaction that stores the look.
create function public.prebooking_places_tell() returns trigger language plpgsql set search_path = '' set lock_timeout = '100ms' as $$
begin
  perform public.prebooking_notify(p, 'moved_up', '') from public.prebookings p
  where p.id = new.prebooking_id and p.user_email <> 'forgotten' and p.given_back_at is null;
  return null;
exception when others then
  raise warning 'the promotion of prebooking % is not told: %', new.prebooking_id, sqlstate;
  return null;
end $$;
create trigger prebooking_places_told after insert or update on public.prebooking_places
  for each row when (new.place = 'booked') execute function public.prebooking_places_tell();

-- Returns whether there is a message to send, a reminder to store, or an old message to delete.
create function public.upkeep_notifications_due(t timestamptz) returns boolean
language sql stable security invoker set search_path = '' as $$
  select exists (select from public.notifications where status = 'waiting' and next_at <= t)
    or exists (select from public.notifications where settled_at < t - interval '30 days')
    or exists (select from public.prebooking_reminders_due(t))
$$;

-- Ends what is not sent any more, and deletes what is old, at most 500 rows of each kind per call.
create function public.prebooking_end_notifications(t timestamptz, p_kinds text[]) returns void
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  -- The channel was removed, maybe while a row for it was being added.
  delete from public.notifications where id in (
    select n.id from public.notifications n
    where n.status = 'waiting' and n.next_at <= t and not exists (select from public.notification_channels c where c.id = n.channel_id)
    limit 500 for update skip locked);
  -- A reminder that could not be sent before the limit, or of a place that was given back, is of no use.
  delete from public.notifications where id in (
    select n.id from public.notifications n
    join public.prebookings p on p.id = n.prebooking_id join public.venues v on v.id = p.venue_id
    where n.status = 'waiting' and n.next_at <= t and n.event = 'reminder'
      and (p.given_back_at is not null or v.late_cancel_hours is null or p.expires_at - v.late_cancel_hours * interval '1 hour' <= t)
    limit 500 for update of n skip locked);
  -- Telegram does not compare ids. So a message that may have arrived twice is not sent a third time.
  update public.notifications set status = 'sent', settled_at = t, leased_by = null, leased_until = null
  where id in (
    select n.id from public.notifications n join public.notification_channels c on c.id = n.channel_id
    where n.status = 'waiting' and n.next_at <= t and n.unsure and n.leased_until is not null and c.kind = 'telegram'
    limit 500 for no key update of n skip locked);
  -- A day is over, and this deployment does not send this kind, or was killed in the last attempt.
  update public.notifications d
  set status = 'dead', settled_at = t, leased_by = null, leased_until = null, failure = o.failure
  from (
    select n.id, case when c.kind = any (p_kinds) then 'no_answer' else 'not_set_up' end as failure
    from public.notifications n join public.notification_channels c on c.id = n.channel_id
    where n.status = 'waiting' and n.next_at <= t and n.due_at <= t - interval '24 hours'
      and (n.leased_until is not null or c.kind <> all (p_kinds))
    limit 500 for no key update of n skip locked) o
  where d.id = o.id;
  delete from public.notifications where id in (
    select id from public.notifications where settled_at < t - interval '30 days'
    order by settled_at limit 500 for update skip locked);
end $$;

-- Leases messages that are to be sent now, on channels of these kinds, for a minute, and counts the attempt. Returns them with
-- the facts that their texts are made of. A row whose lease is over is leased again: its holder was killed, so the message may
-- have arrived. A repeated call returns the same rows again. While another upkeep is here, there is none.
-- At most five rows per channel are leased at once, and the kinds take turns, so that no receiver delays the others.
create function public.claim_notifications_v1(p_instance uuid, p_kinds text[], p_limit int)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare t timestamptz; v_held uuid[];
begin
  if not pg_try_advisory_xact_lock(7304, 1) then
    return '[]';
  end if;
  -- Read after the lock: so it contains the leases of earlier callers.
  t := public.prebooking_clock();
  insert into public.notifications (prebooking_id, event, channel_id, due_at, next_at, created_at)
    select r.prebooking_id, 'reminder', r.channel_id, t, t, t from public.prebooking_reminders_due(t) r limit 500
    on conflict on constraint told_once do nothing;
  perform public.prebooking_end_notifications(t, p_kinds);
  v_held := array(
    select id from public.notifications
    where leased_by = p_instance and status = 'waiting' and leased_until > t and leased_until <= t + interval '1 minute');
  with busy as materialized (
    select channel_id, count(*) as n from public.notifications
    where status = 'waiting' and next_at > t and leased_until > t group by channel_id),
  due as materialized (
    select n.id, n.next_at, n.attempts, c.kind,
           coalesce(b.n, 0) + row_number() over (partition by n.channel_id order by n.next_at, n.id) as in_channel
    from public.notifications n join public.notification_channels c on c.id = n.channel_id left join busy b on b.channel_id = c.id
    where n.status = 'waiting' and n.next_at <= t and c.kind = any (p_kinds)),
  queue as (
    select d.*, row_number() over (partition by kind order by in_channel, attempts > 0, next_at, id) as in_kind
    from due d where in_channel <= 5),
  chosen as materialized (
    select id from queue order by in_kind, next_at, id
    limit greatest(least(coalesce(p_limit, 0), 100) - cardinality(v_held), 0)),
  free as materialized (
    select n.id from public.notifications n
    where n.id = any (array(select id from chosen)) and n.status = 'waiting' for no key update skip locked),
  leased as (
    update public.notifications n
    set unsure = n.unsure or n.leased_until is not null, attempts = n.attempts + 1,
        leased_by = p_instance, leased_until = t + interval '1 minute', next_at = t + interval '1 minute'
    from free f where n.id = f.id returning n.id)
  select v_held || array(select id from leased) into v_held;
  return coalesce((
    select jsonb_agg(public.prebooking_notification_facts(n, c) order by n.due_at, n.id)
    from public.notifications n join public.notification_channels c on c.id = n.channel_id where n.id = any (v_held)), '[]');
end $$;

-- Returns a message as upkeep sends it: where to, and the facts that its text is made of.
--   is_operator  the channel is the operator's
--   venue        of the prebooking, or of the alert
--   warning      the warning of a 'warned' row; null if it does not exist any more
--   cancel_until  until when the place can be given back without a late cancellation
--   promoted     a later choice of the same request is tried now
create function public.prebooking_notification_facts(n public.notifications, c public.notification_channels)
returns jsonb language sql stable security invoker set search_path = '' as $$
  select jsonb_build_object(
    'id', n.id, 'event', n.event, 'about', n.about, 'created_at', n.created_at, 'attempts', n.attempts, 'unsure', n.unsure,
    'channel_id', c.id, 'kind', c.kind, 'address', c.address, 'language', c.language, 'is_operator', c.user_email is null,
    'prebooking_id', p.id, 'user_email', coalesce(c.user_email, p.user_email), 'venue', v.name, 'timezone', v.timezone,
    'class_name', left(p.booking_data ->> 'class_name', 200), 'available_at', p.available_at, 'expires_at', p.expires_at,
    'outcome', p.outcome, 'lateness_ms', p.lateness_ms, 'place', l.place, 'position', l.position,
    'cancel_until', p.expires_at - v.late_cancel_hours * interval '1 hour',
    'warning', case n.about when '' then null when split_part(p.warning, ':', 1) then p.warning
      when split_part(p.class_warning, ':', 1) then p.class_warning end,
    'promoted', exists (select from public.prebookings o where o.stands_after = p.id and o.promoted_at is not null and o.status = 'pending'))
  from (select n.prebooking_id) as one (id) left join public.prebookings p on p.id = one.id
  left join public.venues v on v.id = p.venue_id or (n.event = 'alert' and v.id::text = split_part(n.about, ' ', 3))
  left join public.prebooking_places l on l.prebooking_id = p.id
$$;

-- Stores the result of an attempt, if this upkeep is the last one that leased the message. Returns whether it was, also in a
-- repeated call. The results:
--   sent      the receiver has taken it
--   not_sent  the receiver has certainly not taken it: it is sent again after a pause, which grows from 10 seconds to an hour
--   unsure    it may have taken it: the same id is sent again after the same pauses. Telegram does not compare ids, so there
--             it is sent once more, and then counts as sent.
--   gone      the receiver does not exist any more: the message is dead
-- A message that was not taken for a day is dead. p_failure is our code for the failure; the channel has the last one.
-- 'no_time' is about this upkeep, which did not try, so the channel keeps its state.
create function public.settle_notification_v1(p_id uuid, p_instance uuid, p_result text, p_failure text)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  t         constant timestamptz := public.prebooking_clock();
  v_failure constant text := case when p_result <> 'sent' then left(coalesce(p_failure, p_result), 100) end;
  v_channel uuid;
begin
  if p_result is null or p_result not in ('sent', 'not_sent', 'unsure', 'gone') then
    raise exception 'a message ends as sent, not_sent, unsure or gone, not as %', p_result using errcode = '22023';
  end if;
  update public.notifications n
  set status = e.status, settled_at = case when e.status <> 'waiting' then t end, failure = v_failure,
      unsure = n.unsure or p_result = 'unsure', leased_until = null,
      -- The holder is kept, so that a repeated call finds what it has stored.
      next_at = t + (array[10, 30, 60, 300, 900, 1800, 3600])[least(greatest(n.attempts, 1), 7)] * interval '1 second'
  from (
    select o.id, case
      when p_result = 'sent' then 'sent'
      when p_result = 'unsure' and o.unsure and c.kind = 'telegram' then 'sent'
      when p_result = 'gone' or o.due_at <= t - interval '24 hours' then 'dead'
      else 'waiting' end as status
    from public.notifications o left join public.notification_channels c on c.id = o.channel_id where o.id = p_id) e
  where n.id = e.id and n.leased_by = p_instance and n.leased_until is not null and n.status = 'waiting'
  returning n.channel_id into v_channel;
  if not found then
    return exists (select from public.notifications where id = p_id and leased_by = p_instance and leased_until is null);
  end if;
  update public.notification_channels set failed_at = case when p_result <> 'sent' then t end, failure = v_failure
  where id in (
    select id from public.notification_channels
    where id = v_channel and (failed_at is not null or p_result <> 'sent') and p_failure is distinct from 'no_time'
    for no key update skip locked);
  return true;
end $$;

-- Removes a channel of mail, whose receiver has asked for it. Returns whether it was there. The next claim deletes its messages.
create function public.unsubscribe_v1(p_channel uuid)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  delete from public.notification_channels where id = p_channel and kind = 'mail';
  return found;
end $$;

alter table public.notification_channels enable row level security, force row level security;
alter table public.notifications         enable row level security, force row level security;
create policy service_role_only on public.notification_channels to service_role using (true) with check (true);
create policy service_role_only on public.notifications         to service_role using (true) with check (true);
revoke all on public.notification_channels, public.notifications from public, anon, authenticated, service_role;
grant select, insert, delete on public.notification_channels to service_role;
grant update (failed_at, failure) on public.notification_channels to service_role;
grant select, insert, update, delete on public.notifications to service_role;
revoke all on function public.prebooking_quiet_until, public.prebooking_notify_at,
  public.prebooking_reminder_at, public.prebooking_reminders_due, public.prebooking_notify, public.prebookings_tell,
  public.prebooking_places_tell, public.upkeep_notifications_due, public.prebooking_end_notifications,
  public.claim_notifications_v1, public.prebooking_notification_facts, public.settle_notification_v1, public.unsubscribe_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_quiet_until, public.prebooking_notify_at,
  public.prebooking_reminder_at, public.prebooking_reminders_due, public.prebooking_notify, public.upkeep_notifications_due,
  public.prebooking_end_notifications, public.claim_notifications_v1, public.prebooking_notification_facts,
  public.settle_notification_v1, public.unsubscribe_v1 to service_role;
notify pgrst, 'reload schema';
