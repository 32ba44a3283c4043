"""The conformance check of a booking endpoint: makes real calls, and compares the answers with the contract."""
