"""The local stack of ``make dev``, which runs until Ctrl-C."""
