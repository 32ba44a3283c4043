-- The role that may see rows, stated explicitly: the service role. It passes by row security anyway; but a table with row
-- security and no policy is a finding of Supabase's linter, because nobody can tell whether one was forgotten.

create policy service_role_only on public.venues               to service_role using (true) with check (true);
create policy service_role_only on public.prebookings          to service_role using (true) with check (true);
create policy service_role_only on public.member_sessions      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_runs      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_heartbeat to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_bell      to service_role using (true) with check (true);
create policy service_role_only on public.prebooking_bell_rung to service_role using (true) with check (true);
