"""Books a scarce class for people at the moment its booking opens."""
