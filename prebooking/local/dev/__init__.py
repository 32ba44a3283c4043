"""The local stack, left running to play with."""
