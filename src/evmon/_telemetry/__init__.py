"""Telemetry: the table of instruments, recorders, collection and exposition."""
