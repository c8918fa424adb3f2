"""The recording rules and alert rules."""
