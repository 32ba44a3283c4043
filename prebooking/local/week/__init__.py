"""``make demo-week``: a simulated week of a gym, on a virtual clock."""
