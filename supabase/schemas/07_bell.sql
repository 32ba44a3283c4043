-- The bell: a trigger inside the database, which calls the function three seconds before an opening. "To ring" means to send
-- such a call.
--
-- It is off until select prebooking_bell_on('https://<app>/api/cron/prebooking_scheduler') is executed in the SQL editor. It
-- needs pg_cron, pg_net and Vault, which are checked then; this file also works without them.
--
-- pg_cron starts a run once a minute. The run looks for due rows twice a second, and sleeps in between, at most until the
-- next opening minus the lead. So it rings within half a second for a row that was added, resumed or moved in any way, and no
-- sleep is long enough to end late or to hold a snapshot that delays vacuum. A pg_cron schedule of some seconds would drift
-- and log two rows per run. A trigger of the table would need access to the secret for every role that may add a prebooking.
--
-- A ring can be lost, because pg_net sends a request once and reports no failure. So the bell rings again, at most five times,
-- for rows that no invocation has claimed a second after the ring. Rows that were claimed and released, and rows in doubt, are
-- left to the other trigger, the cron. Both triggers at once are harmless, because no two claims return the same row.

-- Returns the kind of an address: 'public' (https and a public name), 'loopback' (this machine, for the local stack), or null
-- (refused).
create function public.prebooking_bell_address_kind(p_url text) returns text
language sql immutable security invoker set search_path = '' as $$
  select case
    when p_url !~ '^https?://[^/:@]+(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/api/cron/prebooking[_-]scheduler$' then null
    when p_url ~ '^http://(127\.0\.0\.1|localhost)[:/]' then 'loopback'
    when p_url ~ '^https://[^/:]*\.(localhost|localdomain|local|internal|intranet|private|corp|home|lan|arpa)[:/]' then null
    when p_url ~ '^https://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,59})[:/]' then 'public'
  end
$$;

create table public.prebooking_bell (
  only_one        boolean primary key default true check (only_one),
  -- Null: the bell is off. The secret is sent to this address, so the table refuses addresses that cannot be the function's.
  url             text constraint bell_calls_the_function check (url is null or public.prebooking_bell_address_kind(url) is not null),
  lead            interval not null default '3 seconds'                     -- equal to the function's LEAD_SECONDS
    check (lead between '0 seconds' and '5 seconds'),
  job_id          bigint,                                                   -- pg_cron's; null: not scheduled
  switched_at     public.prebooking_instant,                                -- when it was last switched on
  looked_at       public.prebooking_instant,                                -- written by each run, once a minute
  runs            jsonb not null default '[]',                              -- pg_cron's records of the last runs, for service_role
  queue_head      bigint,                                                   -- the oldest request in pg_net's queue
  queue_head_at   public.prebooking_instant,                                -- the first time it was seen there
  triggered_at    public.prebooking_instant,                                -- the last ring
  posts           int,                                                      -- requests of the last ring
  upkeep_at       public.prebooking_instant,                                -- the last time it asked whether upkeep is due
  request_ids     bigint[] not null default '{}');                          -- pg_net's ids of these requests
insert into public.prebooking_bell default values;

-- The pending rows for which the bell has rung. There is no foreign key, because its check would wait for row locks.
create table public.prebooking_bell_triggered (
  id              uuid primary key,                                         -- the prebooking's
  available_at    public.prebooking_instant not null,                       -- a row with another opening counts as new
  tries           int not null default 1,
  triggered_at    public.prebooking_instant not null,                       -- the last ring
  claimed         boolean not null default false);                          -- an invocation has claimed it since then

-- Sleeps until an instant, in one statement of at most half a second. Tests replace it, and move their clock instead.
create function public.prebooking_bell_sleep(p_until timestamptz) returns void
language sql volatile security invoker set search_path = '' as
  'select pg_sleep(greatest(extract(epoch from p_until - public.prebooking_clock()), 0))';

-- Returns the fresh rows that an invocation could claim now, by the conditions of the claim. Rows without progress are left
-- to the other trigger. "again" is true if a second ring can help. It cannot if a claim has skipped the row because of its
-- login, or if the venue is troubled, because a claim takes only some rows of it. The order is that of the index, and the
-- limit is higher than the number of rows that a venue can have sent, so that Postgres uses the index for any number of due
-- rows.
create function public.prebooking_bell_due(p_now timestamptz, p_lead interval)
returns table (id uuid, available_at timestamptz, provider text, again boolean)
language sql stable security invoker set search_path = '' as $$
  -- Openings on which an invocation has the turn; it takes new rows itself.
  with busy as materialized (
    select b.venue_id, b.available_at from public.prebookings b
    where b.status = 'pending' and b.claimed_by is not null and b.turn_until > p_now and b.turn_until <= p_now + interval '300 seconds')
  select due.id, due.available_at, v.provider, v.troubled_since is null and due.can_log_in
  from public.venues v cross join lateral (
    select p.id, p.available_at, coalesce(p.warning !~ '^(no_login|other_key): ', true) as can_log_in from public.prebookings p
    where p.status = 'pending' and p.fresh and p.venue_id = v.id and p.available_at <= p_now + p_lead
      -- Written in this way, so that Postgres does not choose the index on expires_at.
      and (p.expires_at > p_now) is true
      and (p.venue_id, p.available_at) not in (select busy.venue_id, busy.available_at from busy)
      and (v.provider <> 'aimharder' or exists (
        select 1 from public.member_sessions s where s.venue_id = v.id and s.user_email = lower(p.user_email)))
    order by p.available_at, p.created_at, p.id limit 1000) due
  where v.enabled and (v.paused_until is null or v.paused_until <= p_now)
$$;

-- Returns whether a table of an extension exists, and this role may read it.
create function public.prebooking_bell_may_read(p_schema text, p_table text) returns boolean
language sql stable security invoker set search_path = '' as $$
  select coalesce((
    select has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
    from pg_class c where c.relnamespace = to_regnamespace(p_schema) and c.relname = p_table), false)
$$;

-- Returns whether an invocation has claimed the row. It is a function, and not a join, so that Postgres looks rows up by
-- their id.
create function public.prebooking_bell_is_claimed(p_id uuid) returns boolean
language sql stable security invoker set search_path = '' as $$
  select p.claimed_by is not null or p.maybe_sent or p.status <> 'pending' from public.prebookings p where p.id = p_id
$$;

-- Returns the number of the bell's requests in pg_net's queue; 0 if this role cannot read it.
create function public.prebooking_bell_unsent() returns int
language plpgsql stable security invoker set search_path = '' as $$
begin
  if public.prebooking_bell_may_read('net', 'http_request_queue') then
    return (select count(*) from net.http_request_queue q join public.prebooking_bell b on q.url = b.url);
  end if;
  return 0;
end $$;

-- Returns the due rows that need a ring now: new ones, and those that no invocation has claimed a second after their last
-- ring, at most five times more. There is no second ring while twenty requests wait, because it would only make pg_net's
-- batch larger, nor for a row whose venue system was not set up in the invocation that ran since its ring.
create function public.prebooking_bell_to_trigger(p_now timestamptz, p_lead interval) returns table (id uuid, again boolean)
language sql stable security invoker set search_path = '' as $$
  select due.id, r.id is not null from public.prebooking_bell_due(p_now, p_lead) due
  left join public.prebooking_bell_triggered r on r.id = due.id and r.available_at = due.available_at
  where r.id is null
     or (due.again and not r.claimed and r.tries <= 5 and r.triggered_at <= p_now - interval '1 second' and (select public.prebooking_bell_unsent()) < 20
       and not exists (
         select 1 from public.prebooking_heartbeat h where h.last_tick_at >= r.triggered_at and due.provider <> all (h.providers)))
$$;

-- Returns how many invocations are needed to start on all of these rows at once.
--
-- A claim takes at most 500 rows (the function's CLAIM_LIMIT), venue after venue, and the first forty rows of a venue as a
-- whole or not at all. This function counts in the same way. 5,000 rows at 250 venues need 10 invocations.
create function public.prebooking_bell_requests_needed(p_ids uuid[]) returns int
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_posts int := 0;
  v_room  int := 0;
  v_batch int;
begin
  for v_batch in
    select first_rows.batch from (
      select distinct on (venue_id) available_at, created_at, id, least(count(*) over (partition by venue_id), 40) as batch
      from public.prebookings where id = any (p_ids) order by venue_id, available_at, created_at, id) first_rows
    order by first_rows.available_at, first_rows.created_at, first_rows.id
  loop
    if v_batch > v_room then
      v_posts := v_posts + 1;
      v_room := 500;
    end if;
    v_room := v_room - v_batch;
  end loop;
  return v_posts;
end $$;

-- Rings for the rows that need it now. pg_net sends the requests after the caller's commit.
--
-- pg_net sends all requests of one transaction in parallel, as one batch. It starts the next batch a second after all
-- requests of this one were answered or timed out. A timeout of one second is enough to send a request; the answer is not
-- needed here. A second try has a timeout of two seconds, for a slow handshake, and at most ten requests: one thread makes
-- all handshakes, and with an old libcurl ten requests arrive sooner than a hundred. The limit of a hundred for a first try
-- is for a table that was filled with many due rows by mistake.
create function public.prebooking_bell_trigger() returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare
  bell       public.prebooking_bell;
  t          timestamptz;
  v_ids      uuid[];
  v_again    boolean;
  v_posts    int;
  v_secret   text;
begin
  -- Callers that ring at the same time take turns. They do not wait for a lock on the bell's row.
  perform pg_advisory_xact_lock(7301, 3);
  select * into bell from public.prebooking_bell where url is not null;
  if not found then
    return;
  end if;
  t := public.prebooking_clock();
  update public.prebooking_bell_triggered r set claimed = true where not r.claimed and public.prebooking_bell_is_claimed(r.id);
  select array_agg(ring.id), bool_or(ring.again) into v_ids, v_again from public.prebooking_bell_to_trigger(t, bell.lead) ring;
  v_posts := least(public.prebooking_bell_requests_needed(v_ids), case when v_again then 10 else 100 end);
  if v_posts = 0 then
    return;
  end if;
  perform public.prebooking_bell_check(bell.url);
  select decrypted_secret into v_secret from vault.decrypted_secrets where name = 'prebooking_cron_secret';
  if v_secret is null then
    raise exception 'the bell has no secret: %', (public.prebooking_bell_requirements())[1];
  end if;
  bell.request_ids := '{}';
  for n in 1 .. v_posts loop
    bell.request_ids := bell.request_ids || net.http_post(
      url := bell.url, body := '{}', timeout_milliseconds := case when v_again then 2000 else 1000 end,
      headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_secret));
  end loop;
  insert into public.prebooking_bell_triggered as r (id, available_at, triggered_at)
    select p.id, p.available_at, t from public.prebookings p where p.id = any (v_ids)
    on conflict (id) do update set available_at = excluded.available_at, triggered_at = t, claimed = false,
      tries = case when r.available_at = excluded.available_at then r.tries + 1 else 1 end;
  update public.prebooking_bell set triggered_at = t, posts = v_posts, request_ids = bell.request_ids
  where only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked);
  perform public.prebooking_bell_note_queue(t);
end $$;

-- Starts the run of a minute: stores the state, and deletes the records of rows that are settled or have another opening.
-- Returns the end of the run, which is a quarter of a second before the end of the minute, because pg_cron runs a job only
-- once at a time. Returns null if the bell is off.
create function public.prebooking_bell_begin() returns timestamptz
language plpgsql volatile security invoker set search_path = '' as $$
declare
  t     timestamptz := public.prebooking_clock();
  v_job bigint;
begin
  select job_id into v_job from public.prebooking_bell where url is not null;
  if not found then
    return null;
  end if;
  update public.prebooking_bell set looked_at = t, runs = public.prebooking_bell_runs(t)
  where only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked);
  perform public.prebooking_bell_note_queue(t);
  delete from public.prebooking_bell_triggered r where r.available_at is distinct from (
    select p.available_at from public.prebookings p where p.id = r.id and p.status = 'pending');
  -- pg_cron stores a row per run, and deletes none.
  if extract(minute from t) = 0 and v_job is not null then
    perform public.prebooking_bell_delete_runs(v_job, t - interval '1 day');
  end if;
  return date_trunc('minute', t) + interval '59.75 seconds';
end $$;

-- Stores the id of the oldest request in pg_net's queue, and when it was first seen, because pg_net's table has no times.
create function public.prebooking_bell_note_queue(p_now timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_head bigint := (public.prebooking_bell_queue()).head;
begin
  update public.prebooking_bell set queue_head = v_head, queue_head_at = p_now
  where queue_head is distinct from v_head
    and only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked);
end $$;

-- Deletes pg_cron's records of the bell's runs before this instant, with this job's id or an earlier one. A run that a
-- restart has ended has no end time, and a run that never started has no time at all; those are as old as runs with similar
-- ids.
create function public.prebooking_bell_delete_runs(p_job bigint, p_before timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' as $$
begin
  with ours as materialized (
    select runid, coalesce(end_time, start_time) as at from cron.job_run_details
    where jobid = p_job or command like '%public.prebooking_bell_begin()%'),
  old as materialized (select runid from ours where at < p_before)
  delete from cron.job_run_details d using ours where d.runid = ours.runid
    and (ours.runid in (select runid from old) or (ours.at is null and ours.runid < (select max(runid) from old)));
end $$;

-- Calls upkeep, at the same app, if something is due for it. Without the function's keys, sessions of any key count. Warnings
-- about logins are stored by upkeep too, so it is called once an hour while a member may need one. Alerts are stored
-- here as well, and make upkeep due. An error is only reported, because upkeep must not prevent a ring.
create function public.prebooking_bell_upkeep(p_now timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare
  bell         public.prebooking_bell;
  v_providers  text[];
  v_called_at  timestamptz;
  v_secret     text;
begin
  update public.prebooking_bell set upkeep_at = p_now
  where only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked) returning * into bell;
  if not found then
    return;
  end if;
  select h.providers, h.sessions_at into v_providers, v_called_at from public.prebooking_heartbeat h;
  begin
    perform public.prebooking_raise_alerts(p_now);
  exception when others then
    raise warning 'no alert was stored: %', sqlerrm;
  end;
  v_providers := coalesce(v_providers, array(select jsonb_object_keys(public.prebooking_systems())));
  if 'true' in (select part.value from jsonb_each_text(public.prebooking_upkeep_parts(p_now, v_providers, null)) part)
      or (coalesce(v_called_at <= p_now - interval '1 hour', true) and exists (
        select from public.venues v
        where v.provider = any (v_providers) and v.provider = any (public.prebooking_systems_with('logins')) and exists (
          select from public.prebookings p where p.venue_id = v.id and p.status = 'pending'
            and p.available_at between p_now and p_now + interval '7 days'))) then
    perform public.prebooking_bell_check(bell.url);
    select decrypted_secret into strict v_secret from vault.decrypted_secrets where name = 'prebooking_cron_secret';
    perform net.http_post(
      url := regexp_replace(bell.url, 'prebooking[_-]scheduler$', 'upkeep'), body := '{}', timeout_milliseconds := 1000,
      headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_secret));
  end if;
exception when others then
  raise warning 'upkeep was not called: %', sqlerrm;
  update public.prebooking_bell set upkeep_at = p_now
  where only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked);
end $$;

-- Rings if there are rows that need it, and returns when to look again; null if the run is over or the bell is off. Once per
-- minute it also looks whether upkeep is due, at a moment without a ring in the last or the next three seconds, because pg_net
-- sends nothing for up to two seconds after a request.
create function public.prebooking_bell_tick(p_end timestamptz) returns timestamptz
language plpgsql volatile security invoker set search_path = '' set jit = off as $$
declare
  bell   public.prebooking_bell;
  t      timestamptz := public.prebooking_clock();
  v_next timestamptz;
begin
  select * into bell from public.prebooking_bell where url is not null;
  if not found then
    return null;
  end if;
  if exists (select 1 from public.prebooking_bell_to_trigger(t, bell.lead)) or exists (
      select 1 from public.prebooking_bell_triggered r where not r.claimed and public.prebooking_bell_is_claimed(r.id)) then
    -- It looks again under its lock, because this function holds none.
    perform public.prebooking_bell_trigger();
  end if;
  if t >= p_end then
    return null;
  end if;
  select min(coming.available_at) - bell.lead into v_next from public.venues v cross join lateral (
    select p.available_at from public.prebookings p
    where p.status = 'pending' and p.fresh and p.venue_id = v.id and p.available_at > t + bell.lead
    order by p.available_at limit 1) coming;
  if coalesce(bell.upkeep_at < date_trunc('minute', t), true) and coalesce(v_next > t + interval '3 seconds', true)
      and not exists (select from public.prebooking_bell b where b.triggered_at >= t - interval '3 seconds') then
    perform public.prebooking_bell_upkeep(t);
  end if;
  return least(v_next, t + interval '0.5 seconds', p_end);
end $$;

-- Returns the command of the pg_cron job: one minute of the bell. It commits after every look, because pg_net sends nothing
-- before a commit. So it cannot be a function; and a procedure that commits cannot set a search_path, which Supabase's linter
-- reports. Therefore every name is qualified, and no operator is used. It ends within Supabase's statement_timeout of two
-- minutes.
create function public.prebooking_bell_minute() returns text
language sql immutable security invoker set search_path = '' as $function$
select $block$
do $$
declare
  v_end  pg_catalog.timestamptz := public.prebooking_bell_begin();
  v_next pg_catalog.timestamptz;
begin
  commit;
  loop
    exit when v_end is null;
    v_next := public.prebooking_bell_tick(v_end);
    commit;
    exit when v_next is null;
    perform public.prebooking_bell_sleep(v_next);
  end loop;
end $$
$block$
$function$;

-- Only the owner may execute the run, because pg_cron starts it as the owner. The service role may switch the bell and read
-- its state.
alter table public.prebooking_bell      enable row level security, force row level security;
alter table public.prebooking_bell_triggered enable row level security, force row level security;
create policy service_role_only on public.prebooking_bell      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_bell_triggered to service_role using (true) with check (true);
revoke all on public.prebooking_bell, public.prebooking_bell_triggered from public, anon, authenticated, service_role;
grant select on public.prebooking_bell, public.prebooking_bell_triggered to service_role;
grant update (url, job_id, switched_at) on public.prebooking_bell to service_role;
revoke all on function public.prebooking_bell_address_kind, public.prebooking_bell_sleep, public.prebooking_bell_due,
  public.prebooking_bell_may_read, public.prebooking_bell_is_claimed, public.prebooking_bell_unsent,
  public.prebooking_bell_to_trigger, public.prebooking_bell_requests_needed, public.prebooking_bell_trigger, public.prebooking_bell_begin,
  public.prebooking_bell_note_queue, public.prebooking_bell_delete_runs, public.prebooking_bell_upkeep, public.prebooking_bell_tick,
  public.prebooking_bell_minute
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_bell_address_kind, public.prebooking_bell_due, public.prebooking_bell_may_read,
  public.prebooking_bell_minute to service_role;
notify pgrst, 'reload schema';
