-- The functions that add, list and remove channels of notifications.

-- Adds a channel. Returns {"verdict": "added" | "exists", "id"}, of the new channel or of the existing one with this address.
-- The id is the caller's, so that a repeated call returns 'added' again. p_user_email null: the operator.
create function public.add_channel_v1(
  p_id uuid, p_user_email text, p_kind text, p_address text, p_events text[], p_language text, p_quiet_from time, p_quiet_until time)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  v_member constant text := public.prebooking_member(p_user_email);
  v_id uuid;
begin
  if v_member is null and p_user_email is not null then
    raise exception 'a member is an e-mail address in ASCII' using errcode = '22023';
  end if;
  insert into public.notification_channels (id, user_email, kind, address, events, language, quiet_from, quiet_until)
    values (p_id, v_member, p_kind, p_address, p_events, p_language, p_quiet_from, p_quiet_until)
    on conflict do nothing;
  select id into v_id from public.notification_channels
  where id = p_id or (user_email is not distinct from v_member and kind = p_kind and address = p_address);
  return jsonb_build_object('verdict', case when v_id = p_id then 'added' else 'exists' end, 'id', v_id);
end $$;

-- Returns the channels of a member (null: of all members and the operator), ordered by member. failed_at is set if the last
-- message was not taken; waiting and dead count the messages that are to be sent, and those that were given up.
create function public.list_channels_v1(p_user_email text)
returns jsonb language sql volatile security invoker set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', c.id, 'user_email', c.user_email, 'kind', c.kind, 'address', c.address, 'events', c.events, 'language', c.language,
    'quiet_from', c.quiet_from, 'quiet_until', c.quiet_until, 'failed_at', c.failed_at, 'failure', c.failure,
    'waiting', (select count(*) from public.notifications n where n.channel_id = c.id and n.status = 'waiting'),
    'dead', (select count(*) from public.notifications n where n.channel_id = c.id and n.status = 'dead'))
    order by c.user_email nulls first, c.created_at, c.id), '[]')
  from public.notification_channels c
  where p_user_email is null or c.user_email = public.prebooking_member(p_user_email)
$$;

-- Removes a channel and the messages that were to be sent there. Returns false if there is no such channel.
create function public.remove_channel_v1(p_id uuid)
returns boolean language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
begin
  delete from public.notification_channels where id = p_id;
  if not found then
    return false;
  end if;
  delete from public.notifications where id in (
    select id from public.notifications where channel_id = p_id and status = 'waiting' for update skip locked);
  return true;
end $$;

revoke all on function public.add_channel_v1, public.list_channels_v1, public.remove_channel_v1
  from public, anon, authenticated, service_role;
grant execute on function public.add_channel_v1, public.list_channels_v1, public.remove_channel_v1 to service_role;
notify pgrst, 'reload schema';
