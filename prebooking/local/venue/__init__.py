"""The twin: a venue that keeps a ledger, and answers as the real systems do."""
