-- The bell's switch and its state: what the operator's command and the SQL editor call.

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

-- Switches the bell on, or moves it to another address; answers what is left to do.
--
-- pg_cron runs a job as the role that scheduled it, and only for roles that may log in. Supabase lets postgres use it, the role
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
  update public.prebooking_bell set url = p_url, job_id = bell.job_id, switched_at = public.prebooking_clock() where only_one;
  return format('The bell is on. Set LEAD_SECONDS=%s in the function''s environment and redeploy it. Leave the other trigger as it is.',
    extract(epoch from bell.lead)::float8);
end $$;

-- Refuses an address that the secret must not go to. The table refuses most of them already; whether this machine may be
-- called depends on whether pg_net is real (then it is refused) or the local stack's stand-in.
create function public.prebooking_bell_check(p_url text) returns void
language plpgsql stable security invoker set search_path = '' as $$
declare
  v_place text := public.prebooking_bell_place(p_url);
begin
  if v_place is null or (v_place = 'loopback' and exists (select 1 from pg_extension where extname = 'pg_net')) then
    raise exception 'the address is not the function''s: it reads https://<app>/api/cron/prebooking_scheduler, with a public name'
      using errcode = '22023';
  end if;
end $$;

-- Switches it off: nothing is rung any more, at the latest in half a second. Unscheduled too, if the caller may.
create function public.prebooking_bell_off() returns text
language plpgsql volatile security invoker set search_path = '' as $$
begin
  update public.prebooking_bell set url = null where only_one;
  if has_schema_privilege(to_regnamespace('cron')::oid, 'usage') then  -- null where there is none
    perform cron.unschedule(jobname) from cron.job where jobname = 'prebooking_bell';
    update public.prebooking_bell set job_id = null where only_one;
  end if;
  return 'The bell is off. With LEAD_SECONDS set, the other trigger still works as before.';
end $$;

-- What pg_cron has noted of the last five runs that are over, newest first: {"at", "ended", "state", "message"}.
-- state: ok, failed, cut (by a statement_timeout) or lost (it never ended: the server restarted). service_role may not read
-- pg_cron's table, and gets what the last run of the bell has kept of it.
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

-- How many requests wait in pg_net's queue, anybody's, and the oldest. pg_net keeps those of the batch under way in it, too.
create function public.prebooking_bell_queue(out waiting int, out head bigint)
language plpgsql stable security invoker set search_path = '' as $$
begin
  if public.prebooking_bell_may_read('net', 'http_request_queue') then
    select count(*), min(q.id) into waiting, head from net.http_request_queue q;
  end if;
end $$;

-- What became of the requests of the last ring, the one that says most: {"answer", "answer_kind", "answer_error"}.
-- answer is the HTTP status. answer_kind is what the body is (html, json, other); where there is no status: slow (handed over,
-- and not answered within the second: a run takes longer, so this is how it should be) or unsent (answer_error says why).
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

-- How it stands, for the operator's command. Beside the functions above:
--   unclaimed      due rows that it has rung for at least a second ago and that no invocation has claimed
--   waiting_since  since when pg_net's oldest request waits, as far as the bell has seen it; null: not for long, or nothing waits
--   queue_open     roles of the REST API could read pg_net's queue, where a request and its secret lie for some milliseconds.
--                  pg_net's own grants are so, Supabase does not let them be changed, and the REST API does not show that
--                  schema; all that the secret can do is to start a run.
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
    'missing', to_jsonb(public.prebooking_bell_missing()), 'now', t, 'switched_at', bell.switched_at, 'looked_at', bell.looked_at,
    'runs', public.prebooking_bell_runs(t), 'rung_at', bell.rung_at, 'posts', bell.posts,
    'unclaimed', (
      select count(*) from public.prebooking_bell_due(t, bell.lead) due join public.prebooking_bell_rung r using (id, available_at)
      where not r.claimed and r.rung_at <= t - interval '1 second'),
    'waiting', v_queue.waiting, 'waiting_since', case when v_queue.head = bell.queue_head then bell.queue_head_at end,
    'answer', null, 'answer_kind', null, 'answer_error', null,
    'queue_open', coalesce((
      select has_schema_privilege('anon', c.relnamespace, 'usage') and has_table_privilege('anon', c.oid, 'select')
      from pg_class c where c.relnamespace = to_regnamespace('net') and c.relname = 'http_request_queue'), false))
    || public.prebooking_bell_answer(bell.request_ids);
end $$;

revoke all on function public.prebooking_bell_missing, public.prebooking_bell_check, public.prebooking_bell_on,
  public.prebooking_bell_off, public.prebooking_bell_runs, public.prebooking_bell_queue, public.prebooking_bell_answer,
  public.prebooking_bell_status_v1
  from public, anon, authenticated, service_role;
grant execute on function public.prebooking_bell_missing, public.prebooking_bell_check, public.prebooking_bell_on,
  public.prebooking_bell_off, public.prebooking_bell_runs, public.prebooking_bell_queue, public.prebooking_bell_answer,
  public.prebooking_bell_status_v1 to service_role;
notify pgrst, 'reload schema';
