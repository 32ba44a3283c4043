-- Old prebookings that cannot be deleted, or not now, do not prevent a claim.

-- Deletes prebookings that were settled 400 days ago, at most a hundred per call. The claim calls it, so it raises no error and
-- waits for no lock: if a part of such a row is locked, a later call deletes them. If another table refers to some of the rows,
-- it deletes a few of the oldest thousand one by one, so that these rows prevent no others.
create or replace function public.prebooking_prune(p_now timestamptz) returns void
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

notify pgrst, 'reload schema';
