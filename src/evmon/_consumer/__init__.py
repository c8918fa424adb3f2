"""The consumer: reads events, calls handlers, retries and dead-letters."""
