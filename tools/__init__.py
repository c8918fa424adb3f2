"""Generates the repository's own files: rules, dashboards, tables of the docs."""
