"""``/metrics`` and the health checks over HTTP."""
