-- The bell's switch and its state, for the operator's command and the SQL editor.

-- Returns one message with a cure per requirement of the bell that is missing.
create function public.prebooking_bell_requirements() returns text[]
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
    v_missing := v_missing || 'pg_net is not enabled: create extension pg_net with schema extensions'::text;
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

-- Switches the bell on, or changes its address. Returns what is left to do.
--
-- pg_cron runs a job as the role that scheduled it, and only for roles that may log in. In Supabase this is postgres, the
-- role of the SQL editor and of migrations, but not service_role. So postgres must switch the bell on the first time. After
-- that the operator's command, as service_role, can switch it off and on, because the job reads the address from the table.
create function public.prebooking_bell_on(p_url text) returns text
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_missing text[] := public.prebooking_bell_requirements();
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
  update public.prebooking_bell set url = p_url, job_id = bell.job_id, switched_at = public.prebooking_clock() where only_one;
  return format('The bell is on. Set LEAD_SECONDS=%s in the function''s environment and redeploy it. Leave the other trigger as it is.',
    extract(epoch from bell.lead)::float8);
end $$;

-- Raises an error for an address to which the secret must not be sent. The constraint of the table refuses most of them. A
-- loopback address is allowed only with the local stack's stand-in for pg_net, and not with the real extension.
create function public.prebooking_bell_check(p_url text) returns void
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_place text := public.prebooking_bell_address_kind(p_url);
begin
  if v_place is null or (v_place = 'loopback' and exists (select 1 from pg_extension where extname = 'pg_net')) then
    raise exception 'the address is not the function''s: it reads https://<app>/api/cron/prebooking_scheduler, with a public name'
      using errcode = '22023';
  end if;
end $$;

-- Switches the bell off, within half a second. It also unschedules the job, if the caller may do that.
create function public.prebooking_bell_off() returns text
language plpgsql volatile security invoker set search_path = '' as $$
begin
  update public.prebooking_bell set url = null where only_one;
  -- Null, if there is no such schema.
  if has_schema_privilege(to_regnamespace('cron')::oid, 'usage') then
    perform cron.unschedule(jobname) from cron.job where jobname = 'prebooking_bell';
    update public.prebooking_bell set job_id = null where only_one;
  end if;
  return 'The bell is off. With LEAD_SECONDS set, the other trigger still works as before.';
end $$;

-- Returns pg_cron's records of the last five ended runs, newest first: {"at", "ended", "state", "message"}. The states are
-- ok, failed, cut (by a statement_timeout) and lost (without an end, because the server restarted). service_role may not read
-- pg_cron's table, and gets the records that the last run of the bell has stored.
create function public.prebooking_bell_runs(p_now timestamptz) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  bell public.prebooking_bell;
begin
  select * into bell from public.prebooking_bell;
  if not public.prebooking_bell_may_read('cron', 'job_run_details') then
    return bell.runs;
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('at', d.start_time, 'ended', d.end_time, 'message', d.message, 'state', case
      when d.status = 'succeeded' then 'ok'
      when d.status <> 'failed' then 'lost'
      when d.message like '%statement timeout%' then 'cut'
      else 'failed' end) order by d.runid desc), '[]')
    from (
      select *, left(split_part(return_message, E'\n', 1), 200) as message from cron.job_run_details
      where jobid = bell.job_id and (status in ('succeeded', 'failed') or start_time < p_now - interval '90 seconds')
      order by runid desc limit 5) d);
end $$;

-- Returns the number of all requests in pg_net's queue, with those of the current batch, and the id of the oldest one.
create function public.prebooking_bell_queue(out waiting int, out head bigint)
language plpgsql stable security invoker set search_path = '' as $$
begin
  if public.prebooking_bell_may_read('net', 'http_request_queue') then
    select count(*), min(q.id) into waiting, head from net.http_request_queue q;
  end if;
end $$;

-- Returns the most informative response to a request of the last ring: {"answer", "answer_kind", "answer_error"}. answer is
-- the HTTP status. answer_kind is the kind of the body (html, json, other). Without a status it is slow (sent, and not
-- answered within the timeout, which is normal, because a run takes longer) or unsent (answer_error has the reason).
create function public.prebooking_bell_answer(p_requests bigint[]) returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
begin
  if not public.prebooking_bell_may_read('net', '_http_response') then
    return '{}';
  end if;
  return coalesce((
    select jsonb_build_object('answer', a.status_code, 'answer_error', left(a.error_msg, 200), 'answer_kind', case
      when a.status_code is null and a.timed_out and a.error_msg !~ 'Response time: 0(\.0*)? ms' then 'slow'
      when a.status_code is null then 'unsent'
      when a.content_type ilike '%html%' or a.content ~ '^\s*<' then 'html'
      when a.content_type ilike '%json%' or a.content ~ '^\s*[{\[]' then 'json'
      else 'other' end)
    from net._http_response a where a.id = any (p_requests)
    order by a.status_code desc nulls last, a.timed_out, a.id limit 1), '{}');
end $$;

-- Returns the bell's state for the operator's command: the results of the functions above, and
--   unclaimed      the number of due rows that no invocation has claimed a second or more after their last ring
--   waiting_since  the first time the bell saw pg_net's oldest request; null if the queue has moved since, or is empty
--   queue_open     whether the role anon can read pg_net's queue, which contains requests with their secret for some milliseconds.
--                  pg_net grants that, and Supabase does not allow a change. The REST API does not expose that schema, and
--                  the secret can only start a run.
create function public.prebooking_bell_status_v1() returns jsonb
language plpgsql stable security invoker set search_path = '' as $$
declare
  bell    public.prebooking_bell;
  t       timestamptz := public.prebooking_clock();
  v_queue record;
begin
  select * into bell from public.prebooking_bell;
  select * into v_queue from public.prebooking_bell_queue();
  return jsonb_build_object(
    'on', bell.url is not null, 'url', bell.url, 'lead_seconds', extract(epoch from bell.lead), 'scheduled', bell.job_id is not null,
    'missing', to_jsonb(public.prebooking_bell_requirements()), 'now', t, 'switched_at', bell.switched_at, 'looked_at', bell.looked_at,
    'runs', public.prebooking_bell_runs(t), 'triggered_at', bell.triggered_at, 'posts', bell.posts,
    'unclaimed', (
      select count(*) from public.prebooking_bell_due(t, bell.lead) due join public.prebooking_bell_triggered r using (id, available_at)
      where not r.claimed and r.triggered_at <= t - interval '1 second'),
    'waiting', v_queue.waiting, 'waiting_since', case when v_queue.head = bell.queue_head then bell.queue_head_at end,
    'answer', null, 'answer_kind', null, 'answer_error', null,
    'queue_open', coalesce((
      select has_schema_privilege('anon', c.relnamespace, 'usage') and has_table_privilege('anon', c.oid, 'select')
      from pg_class c where c.relnamespace = to_regnamespace('net') and c.relname = 'http_request_queue'), false))
    || public.prebooking_bell_answer(bell.request_ids);
end $$;

revoke all on function public.prebooking_bell_requirements, public.prebooking_bell_check, public.prebooking_bell_on,
  public.prebooking_bell_off, public.prebooking_bell_runs, public.prebooking_bell_queue, public.prebooking_bell_answer,
  public.prebooking_bell_status_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_bell_requirements, public.prebooking_bell_check, public.prebooking_bell_on,
  public.prebooking_bell_off, public.prebooking_bell_runs, public.prebooking_bell_queue, public.prebooking_bell_answer,
  public.prebooking_bell_status_v1 to service_role;
notify pgrst, 'reload schema';
