-- How long what a member's app writes may be: an answer to the claim has up to 500 rows with their logins, and is read up
-- to 16 MiB. Without this, one wish of some megabytes would be in every claim's answer, and nobody would be booked any more.

alter table public.prebookings
  add constraint booking_data_is_short check (octet_length(booking_data::text) <= 6144);

-- Each row of that answer has its venue in it.
alter table public.venues
  add constraint venue_is_short check (length(name) <= 200 and length(provider_box_id) <= 40);
