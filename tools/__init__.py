"""Generates the repository's own files and checks its tests."""
