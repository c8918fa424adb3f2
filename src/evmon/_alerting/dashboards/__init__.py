"""The Grafana dashboards: panels and queries, and their JSON from Grafana's SDK."""
