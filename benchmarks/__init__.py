"""Benchmarks of evmon against alternatives: ``python -m benchmarks``."""
