"""Telemetry in one place: the table of instruments, its recorders, the way out."""
