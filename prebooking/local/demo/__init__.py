"""The demo: one opening from the prebooking to the report."""
