"""Recording rules and alert rules."""
