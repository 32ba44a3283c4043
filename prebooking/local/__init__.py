"""The local stack, for a laptop and for the tests: a real Postgres, an imitation of Supabase's RPC, and a venue."""
