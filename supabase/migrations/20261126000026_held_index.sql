-- The writes of an outcome name a row and its invocation. Few rows are held at most times, so the planner expects one row per
-- invocation and prefers the small index of held rows to the primary key. Without the row's id in it, each outcome of a full
-- claim read all 500 rows of its invocation three times.
drop index public.prebookings_held;
create index prebookings_held on public.prebookings (claimed_by, id) where status = 'pending' and claimed_by is not null;
