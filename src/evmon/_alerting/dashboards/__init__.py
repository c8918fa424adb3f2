"""Dashboards, described without Grafana's SDK and rendered with it."""
