-- Writes the outcomes of several rows of one run, each as complete_prebooking_v1 or fail_prebooking_v1 does.
--
--   p_results  [{"id", "outcome", "attempts", "fired_at", "answered_at", and "booking_id" or "error_message"}]
--              A result with "booking_id", even null, is completed; any other one is failed.
--
-- Returns one value per result, in their order: true or false, as these functions return it, or null if the row was not written
-- and has to be settled alone. That is a row that another transaction has locked, or whose values are refused, or every further
-- row once this has taken 0.3 s, because a row can wait for a lock on a table. So no row prevents the others, or delays them much.
create function public.settle_prebookings_v1(p_instance uuid, p_results jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = '' set lock_timeout = '1500ms' as $$
declare
  r jsonb; v_id uuid; v_settled boolean; v_all jsonb := '[]';
  v_end timestamptz := public.prebooking_clock() + interval '0.3 seconds';
begin
  for r in select value from jsonb_array_elements(p_results) loop
    if public.prebooking_clock() > v_end then
      v_all := v_all || 'null';
      continue;
    end if;
    v_settled := null;
    begin
      v_id := (r ->> 'id')::uuid;
      perform from public.prebookings
      where id = v_id and claimed_by = p_instance and status = 'pending' for no key update skip locked;
      if found or not exists (
        select 1 from public.prebookings where id = v_id and claimed_by = p_instance and status = 'pending') then
        if r ? 'booking_id' then
          v_settled := public.complete_prebooking_v1(v_id, p_instance, r ->> 'outcome', (r ->> 'attempts')::int,
            r ->> 'booking_id', (r ->> 'fired_at')::timestamptz, (r ->> 'answered_at')::timestamptz);
        else
          v_settled := public.fail_prebooking_v1(v_id, p_instance, r ->> 'outcome', (r ->> 'attempts')::int,
            r ->> 'error_message', (r ->> 'fired_at')::timestamptz, (r ->> 'answered_at')::timestamptz);
        end if;
      end if;
    exception when others then
      v_settled := null;
    end;
    v_all := v_all || coalesce(to_jsonb(v_settled), 'null');
  end loop;
  return v_all;
end $$;

revoke all on function public.settle_prebookings_v1 from public, anon, authenticated, service_role;
grant execute on function public.settle_prebookings_v1 to service_role;
notify pgrst, 'reload schema';
