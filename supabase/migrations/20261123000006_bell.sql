-- The bell: calls the function three seconds before an opening, from inside the database, and not at all when nothing opens.
--
-- Off until somebody says, in the SQL editor, select prebooking_bell_on('https://<app>/api/cron/prebooking_scheduler').
-- It needs pg_cron, pg_net and Vault, which are looked for then: this migration loads with or without them.
--
-- pg_cron starts its run once a minute. It looks at what is due twice a second, and sleeps in between, at most to the
-- next opening minus the lead: so what is added, resumed or moved within the minute is rung for within half a second,
-- whoever added it and by whatever way, and no sleep is long enough to wake up late or to hold a snapshot that vacuum waits for.
-- A schedule every few seconds would drift and write two rows of log a run; a request from a trigger of the table would
-- need a right to read the secret for everybody who may add a prebooking.
--
-- A row is rung for once. What is left after that, or is in doubt, is for the second trigger, a cron outside, which stays.
-- Both at once are harmless: the claim gives no row to two invocations.

create table public.prebooking_bell (
  only_one        boolean primary key default true check (only_one),
  url             text,                                                     -- null: off
  lead            interval not null default '3 seconds'                     -- the function's LEAD_SECONDS is the same number
    check (lead between '0 seconds' and '5 seconds'),
  job_id          bigint,                                                   -- pg_cron's; null: nobody who may has scheduled it
  looked_at       timestamptz,                                              -- written once a minute: "pg_cron is dead" is its age
  rung_at         timestamptz,
  posts           int,                                                      -- of that ring
  request_id      bigint,                                                   -- pg_net's, of the last of them
  rung            uuid[] not null default '{}');                            -- due rows it was rung for, while they are pending
insert into public.prebooking_bell default values;

-- Tests replace it, and move their clock instead. A statement for each sleep, and each at most half a second.
create function public.prebooking_bell_sleep(p_until timestamptz) returns void
language sql volatile security invoker set search_path = '' as
  'select pg_sleep(greatest(extract(epoch from p_until - public.prebooking_clock()), 0))';

-- The rows an invocation that comes now could fire first, in the claim's own words. The order is the index's and the limit
-- more than a venue can ever have sent, so that the index is taken, whatever the server thinks of how many rows are due.
create function public.prebooking_bell_due(p_now timestamptz, p_lead interval) returns table (id uuid, venue_id uuid)
language sql stable security invoker set search_path = '' as $$
  select due.id, v.id from public.venues v cross join lateral (
    select p.id from public.prebookings p
    where p.status = 'pending' and p.venue_id = v.id and p.available_at <= p_now + p_lead and p.expires_at > p_now
      and p.claimed_by is null and not p.maybe_sent
    order by p.available_at, p.created_at, p.id limit 1000) due
  where v.enabled and (v.paused_until is null or v.paused_until <= p_now)
$$;

-- How many invocations it takes to begin with all of these rows at once.
--
-- A claim takes at most 500 rows (the function's CLAIM_LIMIT), venue after venue, the first forty of each whole or not at
-- all, and owns the openings of what it takes: so they are counted as the claims will take them. 5,000 rows at 250 venues
-- are 10. The hundred is for a table that somebody has filled by mistake.
create function public.prebooking_bell_posts(p_ids uuid[]) returns int
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_posts int := 0;
  v_room  int := 0;
  v_forty int;
begin
  for v_forty in
    select least(count(*), 40) from public.prebookings where id = any (p_ids)
    group by venue_id order by min(row(available_at, created_at, id))
  loop
    if v_forty > v_room then
      v_posts := v_posts + 1;
      v_room := 500;
    end if;
    v_room := v_room - v_forty;
  end loop;
  return least(v_posts, 100);
end $$;

-- Rings for what is due and was not rung for, if there is any; the posts leave when the caller commits.
--
-- All posts of one look are one transaction and so one batch of pg_net, sent side by side: it is deaf until a batch is
-- over. The second it waits for an answer is long enough to hand the request over; nobody needs the answer here.
create function public.prebooking_bell_ring() returns void
language plpgsql volatile security invoker set search_path = '' as $$
declare
  bell     public.prebooking_bell;
  t        timestamptz;
  v_new    uuid[];
  v_posts  int;
  v_secret text;
begin
  select * into bell from public.prebooking_bell where url is not null for update;  -- two that ring at once: one after the other
  if not found then
    return;
  end if;
  t := public.prebooking_clock();
  v_new := array(select id from public.prebooking_bell_due(t, bell.lead) where id not in (select unnest(bell.rung)));
  v_posts := public.prebooking_bell_posts(v_new);
  if v_posts = 0 then
    return;
  end if;
  select decrypted_secret into v_secret from vault.decrypted_secrets where name = 'prebooking_cron_secret';
  if v_secret is null then
    raise exception 'the bell has no secret: %', (public.prebooking_bell_missing())[1];
  end if;
  for n in 1 .. v_posts loop
    bell.request_id := net.http_post(
      url := bell.url, body := '{}', timeout_milliseconds := 1000,
      headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_secret));
  end loop;
  update public.prebooking_bell set rung = bell.rung || v_new, rung_at = t, posts = v_posts, request_id = bell.request_id;
end $$;

-- The beginning of a minute: forgets the rows that are settled or do not open yet (after all), and answers when its run has to
-- end: a quarter of a second before the minute does, because pg_cron starts no run beside another. Null: it is off.
create function public.prebooking_bell_begin() returns timestamptz
language plpgsql volatile security invoker set search_path = '' as $$
declare
  t     timestamptz := public.prebooking_clock();
  v_job bigint;
begin
  update public.prebooking_bell b set looked_at = t, rung = array(
      select id from public.prebookings where id = any (b.rung) and status = 'pending' and available_at <= t + b.lead)
  where url is not null returning job_id into v_job;
  if not found then
    return null;
  end if;
  if extract(minute from t) = 0 and v_job is not null then  -- pg_cron keeps a row a run, and throws none away
    delete from cron.job_run_details where jobid = v_job and end_time < t - interval '1 day';
  end if;
  return date_trunc('minute', t) + interval '59.75 seconds';
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
  if exists (select 1 from public.prebooking_bell_due(t, bell.lead) where id not in (select unnest(bell.rung))) then
    perform public.prebooking_bell_ring();                 -- looks again, alone: this one has locked nothing
  end if;
  if t >= p_end then
    return null;
  end if;
  select min(coming.available_at) - bell.lead into v_next from public.venues v cross join lateral (
    select p.available_at from public.prebookings p
    where p.status = 'pending' and p.venue_id = v.id and p.available_at > t + bell.lead
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

-- What is not there that the bell needs, each with its cure.
create function public.prebooking_bell_missing() returns text[]
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_missing text[] := '{}';
  v_vault   oid := (select c.oid from pg_class c where c.relnamespace = to_regnamespace('vault') and c.relname = 'decrypted_secrets');
  v_set     boolean;
begin
  if not exists (select 1 from pg_proc where pronamespace = to_regnamespace('cron') and proname = 'schedule') then
    v_missing := v_missing || 'pg_cron is not enabled: create extension pg_cron'::text;
  end if;
  if not exists (select 1 from pg_proc where pronamespace = to_regnamespace('net') and proname = 'http_post') then
    v_missing := v_missing || 'pg_net is not enabled: create extension pg_net'::text;
  end if;
  if v_vault is null then
    v_missing := v_missing || 'Vault is not enabled: create extension supabase_vault cascade'::text;
  elsif has_schema_privilege(to_regnamespace('vault')::oid, 'usage') and has_table_privilege(v_vault, 'select') then
    select exists (select 1 from vault.decrypted_secrets where name = 'prebooking_cron_secret') into v_set;
    if not v_set then
      v_missing := v_missing ||
        'the secret is not in Vault: select vault.create_secret(''<the function''''s CRON_SECRET>'', ''prebooking_cron_secret'')'::text;
    end if;
  end if;
  return v_missing;
end $$;

-- Switches the bell on, or moves it to another address; answers what is left to do.
--
-- pg_cron runs a job as whoever has scheduled it, and only for roles that may log in. Supabase lets postgres use it, the role
-- of the SQL editor and of migrations, and not service_role, which nobody logs in as. So the first time it is done by postgres;
-- afterwards service_role, which the operator's command is, can switch it off and on: the job finds the address here.
create function public.prebooking_bell_on(p_url text) returns text
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_missing text[] := public.prebooking_bell_missing();
  bell      public.prebooking_bell;
begin
  perform public.prebooking_bell_check(p_url);
  if v_missing <> '{}' then
    raise exception 'the bell cannot be switched on: %', array_to_string(v_missing, '; ');
  end if;
  select * into bell from public.prebooking_bell for update;
  if has_schema_privilege(to_regnamespace('cron')::oid, 'usage') then
    bell.job_id := cron.schedule('prebooking_bell', '* * * * *', public.prebooking_bell_minute());
  elsif bell.job_id is null then
    raise exception 'the bell has to be scheduled once by postgres: in the SQL editor, select prebooking_bell_on(%)', quote_literal(p_url)
      using errcode = '42501';
  end if;
  update public.prebooking_bell set url = p_url, job_id = bell.job_id;
  return format('The bell is on. Set LEAD_SECONDS=%s in the function''s environment and redeploy it. Leave the other trigger as it is.',
    extract(epoch from bell.lead)::float8);
end $$;

-- A public https address of the function; one of this machine only where pg_net is the local stack's stand-in.
create function public.prebooking_bell_check(p_url text) returns void
language plpgsql stable security invoker set search_path = '' as $$
declare
  path constant text := '(:[0-9]{1,5})?/api/cron/prebooking[_-]scheduler$';
begin
  if p_url ~ ('^http://(127\.0\.0\.1|localhost)' || path) and not exists (select 1 from pg_extension where extname = 'pg_net') then
    return;
  end if;
  if p_url is null or p_url !~ ('^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}' || path)
      or p_url ~ '^https://[^/:]*\.(localhost|local|internal|lan|arpa)[:/]' then
    raise exception 'the address is not the function''s: it reads https://<app>/api/cron/prebooking_scheduler, with a public name'
      using errcode = '22023';
  end if;
end $$;

-- Switches it off: nothing is rung any more, at the latest in half a second. Unscheduled too, if the caller may.
create function public.prebooking_bell_off() returns text
language plpgsql volatile security invoker set search_path = '' as $$
begin
  update public.prebooking_bell set url = null;
  if has_schema_privilege(to_regnamespace('cron')::oid, 'usage') then  -- null where there is none
    perform cron.unschedule(jobname) from cron.job where jobname = 'prebooking_bell';
    update public.prebooking_bell set job_id = null;
  end if;
  return 'The bell is off. With LEAD_SECONDS set, the other trigger still works as before.';
end $$;

-- How it stands. answer: the HTTP status of the last request, if the function answered within a second (401: the secret
-- in Vault is not the function's). queue_open: roles of the REST API could read pg_net's queue, where a request and its
-- secret lie for some milliseconds. pg_net's own grants are so, Supabase does not let them be changed, and the REST API
-- does not show that schema; all that the secret can do is to start a run.
create function public.prebooking_bell_status_v1() returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  bell     public.prebooking_bell;
  v_queue  oid := (select c.oid from pg_class c where c.relnamespace = to_regnamespace('net') and c.relname = 'http_request_queue');
  v_answer oid := (select c.oid from pg_class c where c.relnamespace = to_regnamespace('net') and c.relname = '_http_response');
  v_status int;
begin
  select * into bell from public.prebooking_bell;
  if has_schema_privilege(to_regnamespace('net')::oid, 'usage') and has_table_privilege(v_answer, 'select') then
    select status_code into v_status from net._http_response where id = bell.request_id;
  end if;
  return jsonb_build_object(
    'on', bell.url is not null, 'url', bell.url, 'lead_seconds', extract(epoch from bell.lead), 'scheduled', bell.job_id is not null,
    'missing', to_jsonb(public.prebooking_bell_missing()), 'now', public.prebooking_clock(), 'looked_at', bell.looked_at,
    'rung_at', bell.rung_at, 'posts', bell.posts, 'answer', v_status,
    'queue_open', coalesce(
      has_schema_privilege('anon', to_regnamespace('net')::oid, 'usage') and has_table_privilege('anon', v_queue, 'select'), false));
end $$;

-- The run itself is for its owner, as whom pg_cron starts it; the operator's command has the switch and the state.
alter table public.prebooking_bell enable row level security, force row level security;
revoke all on public.prebooking_bell from public, anon, authenticated, service_role;
grant select, update on public.prebooking_bell to service_role;
revoke all on function public.prebooking_bell_sleep, public.prebooking_bell_due, public.prebooking_bell_posts, public.prebooking_bell_ring,
  public.prebooking_bell_begin, public.prebooking_bell_look, public.prebooking_bell_minute, public.prebooking_bell_missing,
  public.prebooking_bell_check, public.prebooking_bell_on, public.prebooking_bell_off, public.prebooking_bell_status_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_bell_minute, public.prebooking_bell_missing, public.prebooking_bell_check, public.prebooking_bell_on,
  public.prebooking_bell_off, public.prebooking_bell_status_v1 to service_role;
notify pgrst, 'reload schema';
