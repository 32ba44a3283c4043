-- Alerts: the operator is told what is wrong. An alert is a notification without a prebooking. Its "about" has the cause, the
-- hour or the day, and the venue, separated by spaces, so that told_once prevents a second row.

-- Returns what is wrong now, with the venue if it is about one, and how long the same cause is not told again:
--   late     an opening passed five minutes ago, and some of its prebookings are still pending
--   runs     a run of the last hour failed, or was cut off
--   blocked  a venue blocks the function, or cannot be reached, and a class opens there within a day
--   logins   a class opens within a day, and its member has no usable login
--   dead     a message was given up in the last hour. Alerts do not count, because they would cause the next alert.
--   repeats  a repeat cannot make its prebookings
-- It reads pending rows and the last hour only: with two limits, Postgres uses the index also without statistics.
create function public.prebooking_alert_causes(t timestamptz) returns table (cause text, venue_id uuid, apart interval)
language sql stable security invoker set search_path = '' as $$
  select 'late', v.id, interval '1 hour' from public.venues v
  where v.enabled and coalesce(v.paused_until <= t - interval '5 minutes', true) and exists (
    select from public.prebookings p
    where p.venue_id = v.id and p.status = 'pending' and not p.waits and p.available_at <= t - interval '5 minutes'
      and greatest(p.created_at, p.promoted_at) <= t - interval '5 minutes')
  union all
  select 'runs', null, interval '1 hour' where exists (
    select from public.prebooking_runs r
    where r.opened_at > t - interval '1 hour' and r.opened_at <= t
      and (r.summary ->> 'success' = 'false' or r.closed_at is null and r.opened_at < t - interval '1 minute'))
  union all
  select 'blocked', v.id, interval '1 hour' from public.venues v
  where v.enabled and v.troubled_since is not null and exists (
    select from public.prebookings p
    where p.venue_id = v.id and p.status = 'pending' and p.available_at <= t + interval '1 day')
  union all
  select 'logins', null, interval '1 hour' where exists (
    select from public.venues v
    where v.enabled and v.provider = any (public.prebooking_systems_with('logins')) and exists (
      select from public.prebookings p
      where p.venue_id = v.id and p.status = 'pending' and p.available_at <= t + interval '1 day' and p.expires_at > t
        and p.warning ~ '^(no_login|session_|other_key|login_failed|wrong_password)'))
  union all
  select 'dead', null, interval '1 hour' where exists (
    select from public.notifications n
    where n.settled_at between t - interval '59 minutes' and 'infinity' and n.status = 'dead' and n.event <> 'alert')
  union all
  select 'repeats', null, interval '1 day' where exists (
    select from public.repeats r where r.problem is not null and r.paused_at is null)
$$;

-- Returns what an alert is about at an instant: its cause, the hour or the day, and its venue.
create function public.prebooking_alert_about(p_cause text, p_venue_id uuid, p_apart interval, t timestamptz) returns text
language sql stable security invoker set search_path = '' as $$
  select concat_ws(' ', p_cause,
    to_char(t at time zone 'UTC', case when p_apart > interval '1 hour' then 'YYYY-MM-DD' else 'YYYY-MM-DD"T"HH24' end), p_venue_id)
$$;

-- Stores an alert per cause on each of the operator's channels that wants alerts, at most one in an hour (or a day). Returns
-- how many it stored. Where no channel wants alerts, it costs one look at the channels. Calls at the same time do not wait for
-- each other: the second one stores nothing. Quiet hours are those of the venue, or of the first one.
create function public.prebooking_raise_alerts(t timestamptz) returns int
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare n int;
begin
  if not exists (select from public.notification_channels c where c.user_email is null and 'alert' = any (c.events))
      or not pg_try_advisory_xact_lock(7304, 2) then
    return 0;
  end if;
  insert into public.notifications (event, about, channel_id, due_at, next_at, created_at)
  select 'alert', public.prebooking_alert_about(a.cause, a.venue_id, a.apart, t), c.id, d.due_at, d.due_at, t
  from public.prebooking_alert_causes(t) a left join public.venues v on v.id = a.venue_id
  cross join public.notification_channels c cross join lateral (
    select public.prebooking_quiet_until(t, c.quiet_from, c.quiet_until,
      coalesce(v.timezone, (select o.timezone from public.venues o order by o.id limit 1), 'UTC')) as due_at) d
  where c.user_email is null and 'alert' = any (c.events) and not exists (
    select from public.notifications o
    where o.prebooking_id is null and o.event = 'alert' and o.channel_id = c.id and o.created_at > t - a.apart
      and o.about = any (array[public.prebooking_alert_about(a.cause, a.venue_id, a.apart, t),
        public.prebooking_alert_about(a.cause, a.venue_id, a.apart, t - a.apart)]))
  on conflict on constraint told_once do nothing;
  get diagnostics n = row_count;
  return n;
end $$;

-- Returns the state of the messages, for `status` and `doctor`: {"messages": {...}}.
--   channels  the number of channels, alerts: of those that tell the operator about alerts
--   waiting   the number of messages that wait
--   dead      the number of messages that were given up in the last day, per code of the failure
--   failing   the channels whose last message was not taken
create function public.prebooking_messages(t timestamptz) returns jsonb
language sql stable security invoker set search_path = '' as $$
  select jsonb_build_object('messages', jsonb_build_object(
    'channels', count(*), 'alerts', count(*) filter (where c.user_email is null and 'alert' = any (c.events)),
    'waiting', (select count(*) from public.notifications where status = 'waiting'),
    'dead', (
      select coalesce(jsonb_object_agg(d.failure, d.n), '{}') from (
        select coalesce(failure, 'unknown') as failure, count(*) as n from public.notifications
        where settled_at between t - interval '1 day' and 'infinity' and status = 'dead' group by 1) d),
    'failing', coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'kind', c.kind, 'user_email', c.user_email,
      'failed_at', c.failed_at, 'failure', c.failure) order by c.failed_at desc) filter (where c.failed_at is not null), '[]')))
  from public.notification_channels c
$$;

revoke all on function public.prebooking_alert_causes, public.prebooking_alert_about, public.prebooking_raise_alerts,
  public.prebooking_messages from public, anon, authenticated, service_role;
grant execute on function public.prebooking_alert_causes, public.prebooking_alert_about, public.prebooking_raise_alerts,
  public.prebooking_messages to service_role;
notify pgrst, 'reload schema';
