-- Privacy: a login is stored until the member logs out, a settled prebooking for 400 days.

-- Returns a settled prebooking without its member's data: with its class, and the columns that the figures need.
create function public.prebooking_anonymous(p public.prebookings) returns public.prebookings
language plpgsql stable security invoker set search_path = '' as $$
begin
  p.user_email := 'forgotten';
  p.booking_id := null;
  p.repeat_id := null;
  p.repeat_day := null;
  p.booking_data := (
    select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(p.booking_data)
    where key in ('class_id', 'day', 'starts_at') and jsonb_typeof(value) in ('string', 'number'));
  return p;
end $$;

-- Refuses changes of a settled row, except two: its member's data is removed, or the giving back of its place is recorded,
-- once. The comparison ignores the warning, which other triggers may have written, and generated columns, which have no value
-- here.
create function public.prebookings_keep() returns trigger language plpgsql set search_path = '' as $$
declare
  ignored constant text[] := array['warning', 'class_warning', 'lateness_ms', 'waits', 'fresh'];
  v_allowed public.prebookings := old;
begin
  if old.given_back_at is null and new.given_back_at is not null then
    v_allowed.given_back_at := new.given_back_at;
  else
    v_allowed := public.prebooking_anonymous(old);
  end if;
  if to_jsonb(new) - ignored <> to_jsonb(v_allowed) - ignored then
    raise exception 'prebooking % is settled, or is being booked', old.id using errcode = 'PT409';
  end if;
  new.warning := null;
  new.class_warning := null;
  return new;
end $$;
create trigger prebookings_terminal before update on public.prebookings
  for each row when (old.status <> 'pending') execute function public.prebookings_keep();

-- Refuses to delete pending rows. The service role may delete only old rows; with a venue all its settled rows are deleted.
create function public.prebookings_retain() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'prebooking % is kept: only those that ended 400 days ago are deleted', old.id using errcode = 'PT409';
end $$;
create trigger prebookings_retained before delete on public.prebookings
  for each row when (old.status = 'pending'
    or (current_user = 'service_role' and old.settled_at > public.prebooking_clock() - interval '400 days'))
  execute function public.prebookings_retain();

-- Deletes prebookings that were settled 400 days ago, at most a hundred per call. The claim calls it, so it raises no error and
-- waits for no lock: if a part of such a row is locked, a later call deletes them. If another table refers to some of the rows,
-- it deletes a few of the oldest thousand one by one, so that these rows prevent no others.
create function public.prebooking_prune(p_now timestamptz) returns void
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '10ms' as $$
declare v_id uuid;
begin
  -- Also constraints of other tables that are deferred: they would fail at the commit of the claim.
  set constraints all immediate;
  begin
    delete from public.prebookings where id in (
      select id from public.prebookings where settled_at < p_now - interval '400 days'
      order by settled_at limit 100 for update skip locked);  -- in this order the index is read, not the table
  exception
    when lock_not_available then
      null;
    when others then
      raise warning 'some old prebookings cannot be deleted: %', sqlstate;
      for v_id in
        select old.id from (
          select id from public.prebookings where settled_at < p_now - interval '400 days' order by settled_at limit 1000) old
        order by random() limit 20
      loop
        begin
          delete from public.prebookings where id = v_id;
        exception when others then
          null;
        end;
      end loop;
  end;
end $$;

-- Removes a member's login at a venue. Returns whether there was one.
create function public.logout_v1(p_venue_id uuid, p_user_email text) returns boolean
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  delete from public.member_sessions where venue_id = p_venue_id and user_email = public.prebooking_member(p_user_email);
  return found;
end $$;

-- Forgets a member: removes the logins, repeats, absences, channels and messages, cancels pending prebookings, and removes the
-- member's data from settled ones. Returns {"logins", "repeats", "absences", "channels", "cancelled", "anonymised",
-- "being_booked"}. Rows that are being booked, or in doubt, stay as they are; the call must be repeated when they are settled.
create function public.forget_member_v1(p_user_email text) returns jsonb
language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  v_email constant text := public.prebooking_member(p_user_email);
  v_logins int; v_repeats int; v_absences int; v_channels int; v_cancelled int; v_anonymised int; v_left int;
begin
  delete from public.member_sessions where user_email = v_email;
  get diagnostics v_logins = row_count;
  -- Before the prebookings, so that none is made meanwhile.
  delete from public.repeats where user_email = v_email;
  get diagnostics v_repeats = row_count;
  delete from public.absences where user_email = v_email;
  get diagnostics v_absences = row_count;
  -- Messages about this member, also those to the operator.
  delete from public.notifications
  where channel_id in (select id from public.notification_channels where user_email = v_email)
    or prebooking_id in (select id from public.prebookings where lower(user_email) = v_email);
  delete from public.notification_channels where user_email = v_email;
  get diagnostics v_channels = row_count;
  update public.prebookings set status = 'cancelled', settled_at = public.prebooking_clock()
  where lower(user_email) = v_email and status = 'pending' and claimed_by is null and not maybe_sent;
  get diagnostics v_cancelled = row_count;
  update public.prebookings p
  set (user_email, booking_id, booking_data, repeat_id, repeat_day) = (
    select a.user_email, a.booking_id, a.booking_data, a.repeat_id, a.repeat_day from public.prebooking_anonymous(p) a)
  where lower(user_email) = v_email and status <> 'pending';
  get diagnostics v_anonymised = row_count;
  select count(*) into v_left from public.prebookings where lower(user_email) = v_email and status = 'pending';
  return jsonb_build_object(
    'logins', v_logins, 'repeats', v_repeats, 'absences', v_absences, 'channels', v_channels,
    'cancelled', v_cancelled, 'anonymised', v_anonymised, 'being_booked', v_left);
end $$;

grant delete on public.prebookings, public.member_sessions to service_role;
revoke all on function public.prebooking_anonymous, public.prebookings_keep, public.prebookings_retain, public.prebooking_prune,
  public.logout_v1, public.forget_member_v1 from public, anon, authenticated, service_role;
grant execute on function public.prebooking_anonymous, public.prebooking_prune, public.logout_v1, public.forget_member_v1
  to service_role;
notify pgrst, 'reload schema';
