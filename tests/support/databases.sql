-- Executed by a superuser in a template. A copy of it can then be brought back to the template's state.
create schema reset;
revoke all on schema reset from public;

-- What a test has defined, granted or revoked. An aborted transaction leaves nothing.
create table reset.definitions (tag text);
create function reset.note() returns event_trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into reset.definitions values (tg_tag);
end $$;

-- The tables that have rows in the template, with a copy of these.
create table reset.seeds (original regclass, copy regclass, columns text, content text[]);
create function reset.content(p_table regclass) returns text[] language plpgsql set search_path = '' as $$
declare content text[];
begin
  execute format('select array_agg(t::text) from %s t', p_table) into content;
  return content;
end $$;

-- Tables of tests, and what tests may do to them without a definition.
create view reset.tables as select c.oid, c.oid::regclass as name, c.reltuples from pg_catalog.pg_class c
where c.relkind = 'r' and c.oid >= 16384 and c.relnamespace <> 'reset'::regnamespace and c.relpersistence <> 't';
create view reset.facts as select
  (select count(*) from pg_catalog.pg_largeobject_metadata) as large_objects,
  (select jsonb_agg(s) from pg_catalog.pg_db_role_setting s, pg_catalog.pg_database d
   where s.setdatabase = d.oid and d.datname = current_database()) as settings,
  (select jsonb_build_array(datacl, datconnlimit) from pg_catalog.pg_database where datname = current_database()) as database;

-- A process that serves one test after another closes its sessions itself. It would not notice one that was killed.
create view reset.killed as
select sessions_killed + sessions_fatal as sessions from pg_catalog.pg_stat_database where datname = current_database();
create table reset.killed_before as table reset.killed;
create view reset.sessions as
select pid, application_name = 'kept' as kept, state from pg_catalog.pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid();

-- Ends every session except those with these process ids, and empties the tables, which also removes the number of rows
-- that "analyze" has counted. Returns why it cannot, or null.
create function reset.to_template(p_idle int[]) returns text language plpgsql set search_path = '' as $$
declare
  filled text;
  seed record;
  counter regclass;
begin
  for attempt in 1..1000 loop
    exit when not exists (select from reset.sessions where kept and state <> 'idle');
    perform pg_sleep(0.001), pg_stat_clear_snapshot();
  end loop;
  if exists (select from reset.sessions where kept and state <> 'idle') then
    return 'the REST API is busy';
  end if;
  if (table reset.killed) is distinct from (table reset.killed_before) then
    return 'a session was killed';
  end if;
  perform pg_terminate_backend(pid, 5000), pg_stat_clear_snapshot() from reset.sessions
  where not kept and pid <> all (p_idle);
  if exists (select from reset.sessions where not kept and pid <> all (p_idle)) then
    return 'a session does not end';
  end if;
  if exists (select from reset.definitions) then
    return (select min(tag) from reset.definitions);
  end if;
  if (select f from reset.facts f) is distinct from (select f from reset.template_facts f) then
    return 'a setting or a large object';
  end if;
  set local session_replication_role = replica;
  set local lock_timeout = '5s';
  select string_agg(t.name::text, ', ') into filled from reset.tables t
  where (pg_relation_size(t.oid) > 0 or t.reltuples >= 0) and t.oid not in (select original from reset.seeds);
  if filled is not null then
    execute format('truncate %s restart identity cascade', filled);
  end if;
  for seed in select s.* from reset.seeds s join reset.tables t on t.oid = s.original
    where t.reltuples >= 0 or s.content is distinct from reset.content(s.original) loop
    execute format('truncate %s restart identity cascade', seed.original);
    execute format('insert into %s (%s) overriding system value select %2$s from %s', seed.original, seed.columns, seed.copy);
  end loop;
  for counter in select seqrelid from pg_catalog.pg_sequence where pg_catalog.pg_sequence_last_value(seqrelid) is not null loop
    execute format('alter sequence %s restart', counter);
  end loop;
  delete from pg_catalog.pg_statistic where starelid >= 16384;
  delete from reset.definitions;
  perform pg_stat_clear_snapshot();
  update reset.killed_before set sessions = (table reset.killed);
  return null;
end $$;

do $$
declare original regclass;
begin
  if exists (select from pg_sequence where pg_sequence_last_value(seqrelid) is not null) then
    raise exception 'a sequence of the template has been used: restarting it is not enough';
  end if;
  if exists (select from reset.tables where reltuples >= 0) then
    raise exception 'a table of the template has been analyzed: truncating it is not enough';
  end if;
  for original in select name from reset.tables where reset.content(name) is not null loop
    execute format('create table reset.%I as table %s', 'seed ' || original, original);
    insert into reset.seeds select original, format('reset.%I', 'seed ' || original), string_agg(quote_ident(attname), ', '),
      reset.content(original) from pg_attribute
    where attrelid = original and attnum > 0 and not attisdropped and attgenerated = '';
  end loop;
end $$;
create table reset.template_facts as table reset.facts;

create event trigger note_definitions on ddl_command_end execute function reset.note();
alter event trigger note_definitions enable always; -- also where session_replication_role is "replica"
delete from reset.definitions;
