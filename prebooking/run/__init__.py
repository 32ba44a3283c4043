"""One invocation of the booking function, from the claim to the summary."""
