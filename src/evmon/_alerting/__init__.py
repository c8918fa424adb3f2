"""Generates Prometheus rules and Grafana dashboards from `Thresholds`."""
