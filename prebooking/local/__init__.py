"""The stack on one machine, for a laptop and for the tests: a real Postgres, Supabase's RPC in front of it, a venue."""
