-- The bell: calls the function three seconds before an opening, from inside the database, and not at all when nothing opens.
--
-- Off until somebody says, in the SQL editor, select prebooking_bell_on('https://<app>/api/cron/prebooking_scheduler').
-- It needs pg_cron, pg_net and Vault, which are looked for then: this migration loads with or without them.
--
-- pg_cron starts its run once a minute. It looks at what is due twice a second, and sleeps in between, at most to the
-- next opening minus the lead: so what is added, resumed or moved within the minute is rung for within half a second,
-- no matter how it was added, and no sleep is long enough to wake up late or to hold a snapshot that vacuum waits for.
-- A schedule every few seconds would drift and write two rows of log a run; a request from a trigger of the table would
-- need a right to read the secret for everybody who may add a prebooking.
--
-- A ring can fail to arrive: pg_net sends a request once and tells nobody. So the bell rings again, at most five times, while
-- no invocation has claimed a row a second after the ring. Rows that were claimed and released again, and rows in doubt,
-- are for the second trigger, a cron outside, which stays. Both at once are harmless: the claim gives no row to two invocations.

-- Where an address points: 'public' (https and a public name), 'loopback' (this machine, for the local stack) or null (refused).
create function public.prebooking_bell_place(p_url text) returns text
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
  -- null: off. The secret goes to this address, so the table itself refuses any address that cannot be the function's.
  url             text constraint bell_calls_the_function check (url is null or public.prebooking_bell_place(url) is not null),
  lead            interval not null default '3 seconds'                     -- the function's LEAD_SECONDS is the same number
    check (lead between '0 seconds' and '5 seconds'),
  job_id          bigint,                                                   -- pg_cron's; null: not scheduled
  switched_at     public.prebooking_instant,                                -- when it was last switched on
  looked_at       public.prebooking_instant,                                -- written by each run, once a minute
  runs            jsonb not null default '[]',                              -- what pg_cron noted of the last runs, for service_role
  queue_head      bigint,                                                   -- the oldest request in pg_net's queue at the last run or ring
  queue_head_at   public.prebooking_instant,                                -- ... and when it was first seen there
  rung_at         public.prebooking_instant,
  posts           int,                                                      -- of that ring
  request_ids     bigint[] not null default '{}');                          -- pg_net's, of that ring
insert into public.prebooking_bell default values;

-- The due rows that the bell has rung for, while they are pending. No foreign key: its check would wait for row locks.
create table public.prebooking_bell_rung (
  id              uuid primary key,                                         -- the prebooking's
  available_at    public.prebooking_instant not null,                       -- a row with another opening is a new one
  rings           int not null default 1,
  rung_at         public.prebooking_instant not null,                       -- the last time
  claimed         boolean not null default false);                          -- an invocation has come for it

-- Tests replace it, and move their clock instead. A statement for each sleep, and each at most half a second.
create function public.prebooking_bell_sleep(p_until timestamptz) returns void
language sql volatile security invoker set search_path = '' as
  'select pg_sleep(greatest(extract(epoch from p_until - public.prebooking_clock()), 0))';

-- The fresh rows that an invocation could claim now, in the claim's own words. Rows that could not get on before are for the
-- second trigger. again: a second ring may help. It does not where a claim has left the row for want of a login or its key, nor
-- at a troubled venue, of which a claim takes a few at a time. The order is the index's and the limit more than a venue can
-- ever have sent, so that the server uses the index however many rows are due.
create function public.prebooking_bell_due(p_now timestamptz, p_lead interval)
returns table (id uuid, available_at timestamptz, provider text, again boolean)
language sql stable security invoker set search_path = '' as $$
  with busy as materialized (                              -- openings where an invocation has its turn: it takes new rows itself
    select b.venue_id, b.available_at from public.prebookings b
    where b.status = 'pending' and b.claimed_by is not null and b.turn_until > p_now and b.turn_until <= p_now + interval '300 seconds')
  select due.id, due.available_at, v.provider, v.troubled_since is null and due.can_log_in
  from public.venues v cross join lateral (
    select p.id, p.available_at, coalesce(p.warning !~ '^(no_login|other_key): ', true) as can_log_in from public.prebookings p
    where p.status = 'pending' and p.fresh and p.venue_id = v.id and p.available_at <= p_now + p_lead
      and (p.expires_at > p_now) is true                   -- written so that the index on expires_at is no choice
      and (p.venue_id, p.available_at) not in (select busy.venue_id, busy.available_at from busy)
      and (v.provider <> 'aimharder' or exists (
        select 1 from public.member_sessions s where s.venue_id = v.id and s.user_email = lower(p.user_email)))
    order by p.available_at, p.created_at, p.id limit 1000) due
  where v.enabled and (v.paused_until is null or v.paused_until <= p_now)
$$;

-- Whether the table exists and this role may read it: what an extension has, a project may lack or deny.
create function public.prebooking_bell_may_read(p_schema text, p_table text) returns boolean
language sql stable security invoker set search_path = '' as $$
  select coalesce((
    select has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
    from pg_class c where c.relnamespace = to_regnamespace(p_schema) and c.relname = p_table), false)
$$;

-- Whether an invocation has come for the row. A function, and no join, so that the server looks up each row by its id.
create function public.prebooking_bell_is_claimed(p_id uuid) returns boolean
language sql stable security invoker set search_path = '' as $$
  select p.claimed_by is not null or p.maybe_sent or p.status <> 'pending' from public.prebookings p where p.id = p_id
$$;

-- How many requests of the bell wait in pg_net's queue, if this role can read it.
create function public.prebooking_bell_unsent() returns int
language plpgsql stable security invoker set search_path = '' as $$
begin
  if public.prebooking_bell_may_read('net', 'http_request_queue') then
    return (select count(*) from net.http_request_queue q join public.prebooking_bell b on q.url = b.url);
  end if;
  return 0;
end $$;

-- The due rows to ring for now: those not rung for yet, and those that nobody has claimed a second after the last ring, at most
-- five times again, and not while twenty requests wait, because more would only make one large batch of them. An invocation
-- that has come since the ring, and is not set up for the row's venue system, would come in vain again.
create function public.prebooking_bell_to_ring(p_now timestamptz, p_lead interval) returns table (id uuid, again boolean)
language sql stable security invoker set search_path = '' as $$
  select due.id, r.id is not null from public.prebooking_bell_due(p_now, p_lead) due
  left join public.prebooking_bell_rung r on r.id = due.id and r.available_at = due.available_at
  where r.id is null
     or (due.again and not r.claimed and r.rings <= 5 and r.rung_at <= p_now - interval '1 second' and (select public.prebooking_bell_unsent()) < 20
       and not exists (
         select 1 from public.prebooking_heartbeat h where h.last_tick_at >= r.rung_at and due.provider <> all (h.providers)))
$$;

-- How many invocations it takes to begin with all of these rows at once.
--
-- A claim takes at most 500 rows (the function's CLAIM_LIMIT), venue after venue, the first forty of each whole or not at
-- all, and owns the openings of what it takes: so they are counted as the claims will take them. 5,000 rows at 250 venues
-- are 10.
create function public.prebooking_bell_posts(p_ids uuid[]) returns int
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_posts int := 0;
  v_room  int := 0;
  v_forty int;
begin
  for v_forty in
    select heads.forty from (
      select distinct on (venue_id) available_at, created_at, id, least(count(*) over (partition by venue_id), 40) as forty
      from public.prebookings where id = any (p_ids) order by venue_id, available_at, created_at, id) heads
    order by heads.available_at, heads.created_at, heads.id
  loop
    if v_forty > v_room then
      v_posts := v_posts + 1;
      v_room := 500;
    end if;
    v_room := v_room - v_forty;
  end loop;
  return v_posts;
end $$;

-- Rings for the rows that need it now, if there are any; the posts leave when the caller commits.
--
-- All posts of one ring are one transaction, and pg_net sends them side by side as one batch: it starts the next one when all
-- are answered or have timed out, and a second later. One second is enough to hand a request over; nobody needs the answer here.
-- A second try gets two, for a slow handshake, and ten posts at most: one thread does all handshakes, and with an old libcurl
-- so few of a hundred end within the time that ten arrive sooner. The hundred of a first try is for a table that somebody
-- has filled by mistake.
create function public.prebooking_bell_ring() returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare
  bell       public.prebooking_bell;
  t          timestamptz;
  v_ids      uuid[];
  v_again    boolean;
  v_posts    int;
  v_secret   text;
begin
  -- Two that ring at once do so one after the other. Neither waits for a session that holds the bell's row.
  perform pg_advisory_xact_lock(7301, 3);
  select * into bell from public.prebooking_bell where url is not null;
  if not found then
    return;
  end if;
  t := public.prebooking_clock();
  update public.prebooking_bell_rung r set claimed = true where not r.claimed and public.prebooking_bell_is_claimed(r.id);
  select array_agg(ring.id), bool_or(ring.again) into v_ids, v_again from public.prebooking_bell_to_ring(t, bell.lead) ring;
  v_posts := least(public.prebooking_bell_posts(v_ids), case when v_again then 10 else 100 end);
  if v_posts = 0 then
    return;
  end if;
  perform public.prebooking_bell_check(bell.url);
  select decrypted_secret into v_secret from vault.decrypted_secrets where name = 'prebooking_cron_secret';
  if v_secret is null then
    raise exception 'the bell has no secret: %', (public.prebooking_bell_missing())[1];
  end if;
  bell.request_ids := '{}';
  for n in 1 .. v_posts loop
    bell.request_ids := bell.request_ids || net.http_post(
      url := bell.url, body := '{}', timeout_milliseconds := case when v_again then 2000 else 1000 end,
      headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_secret));
  end loop;
  insert into public.prebooking_bell_rung as r (id, available_at, rung_at)
    select p.id, p.available_at, t from public.prebookings p where p.id = any (v_ids)
    on conflict (id) do update set available_at = excluded.available_at, rung_at = t, claimed = false,
      rings = case when r.available_at = excluded.available_at then r.rings + 1 else 1 end;
  update public.prebooking_bell set rung_at = t, posts = v_posts, request_ids = bell.request_ids
  where only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked);
  perform public.prebooking_bell_note_queue(t);
end $$;

-- The beginning of a minute: keeps the state, forgets the rows that are settled or have another opening, and returns when the
-- run has to end: a quarter of a second before the minute does, because pg_cron starts no run beside another. Null: it is off.
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
  delete from public.prebooking_bell_rung r where r.available_at is distinct from (
    select p.available_at from public.prebookings p where p.id = r.id and p.status = 'pending');
  if extract(minute from t) = 0 and v_job is not null then  -- pg_cron keeps a row a run, and throws none away
    perform public.prebooking_bell_forget(v_job, t - interval '1 day');
  end if;
  return date_trunc('minute', t) + interval '59.75 seconds';
end $$;

-- Keeps the oldest request in pg_net's queue, and when it was first seen there: pg_net's own table has no instants.
create function public.prebooking_bell_note_queue(p_now timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_head bigint := (public.prebooking_bell_queue()).head;
begin
  update public.prebooking_bell set queue_head = v_head, queue_head_at = case when v_head is not null then p_now end
  where queue_head is distinct from v_head
    and only_one in (select b.only_one from public.prebooking_bell b for no key update skip locked);
end $$;

-- Removes what pg_cron has noted of the bell's runs before this instant, under this job's id or an earlier one. A run that was
-- cut off by a restart has no end, and one that never started has no instant at all: those are as old as the runs beside them.
create function public.prebooking_bell_forget(p_job bigint, p_before timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' as $$
begin
  with ours as materialized (
    select runid, coalesce(end_time, start_time) as at from cron.job_run_details
    where jobid = p_job or command like '%public.prebooking_bell_begin()%'),
  old as materialized (select runid from ours where at < p_before)
  delete from cron.job_run_details d using ours where d.runid = ours.runid
    and (ours.runid in (select runid from old) or (ours.at is null and ours.runid < (select max(runid) from old)));
end $$;

-- One look: rings if there is anything to ring for, and answers when to look again. Null: the run is over, or the bell off.
create function public.prebooking_bell_look(p_end timestamptz) returns timestamptz
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
  if exists (select 1 from public.prebooking_bell_to_ring(t, bell.lead)) or exists (
      select 1 from public.prebooking_bell_rung r where not r.claimed and public.prebooking_bell_is_claimed(r.id)) then
    perform public.prebooking_bell_ring();                 -- looks again, alone: this one has locked nothing
  end if;
  if t >= p_end then
    return null;
  end if;
  select min(coming.available_at) - bell.lead into v_next from public.venues v cross join lateral (
    select p.available_at from public.prebookings p
    where p.status = 'pending' and p.fresh and p.venue_id = v.id and p.available_at > t + bell.lead
    order by p.available_at limit 1) coming;
  return least(v_next, t + interval '0.5 seconds', p_end);
end $$;

-- One minute, as pg_cron is given it. It commits after every look, because pg_net sends nothing before; so it can be no
-- function, and a procedure that commits can have no search_path of its own, which Supabase's linter reports. Every name
-- in it is written out and no operator used. It stays below the two minutes that Supabase gives a statement.
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
    v_next := public.prebooking_bell_look(v_end);
    commit;
    exit when v_next is null;
    perform public.prebooking_bell_sleep(v_next);
  end loop;
end $$
$block$
$function$;

-- The run itself is for its owner, as whom pg_cron starts it; the operator's command has the switch and the state.
alter table public.prebooking_bell      enable row level security, force row level security;
alter table public.prebooking_bell_rung enable row level security, force row level security;
create policy service_role_only on public.prebooking_bell      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_bell_rung to service_role using (true) with check (true);
revoke all on public.prebooking_bell, public.prebooking_bell_rung from public, anon, authenticated, service_role;
grant select on public.prebooking_bell, public.prebooking_bell_rung to service_role;
grant update (url, job_id, switched_at) on public.prebooking_bell to service_role;
revoke all on function public.prebooking_bell_place, public.prebooking_bell_sleep, public.prebooking_bell_due,
  public.prebooking_bell_may_read, public.prebooking_bell_is_claimed, public.prebooking_bell_unsent,
  public.prebooking_bell_to_ring, public.prebooking_bell_posts, public.prebooking_bell_ring, public.prebooking_bell_begin,
  public.prebooking_bell_note_queue, public.prebooking_bell_forget, public.prebooking_bell_look, public.prebooking_bell_minute
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_bell_place, public.prebooking_bell_due, public.prebooking_bell_may_read,
  public.prebooking_bell_minute to service_role;
notify pgrst, 'reload schema';
