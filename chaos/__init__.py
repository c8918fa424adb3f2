"""Chaos: real processes, a real Redis, and everything that goes wrong between them.

``python -m chaos`` runs all of it; ``python -m chaos t1 --events 20000`` one run.
"""
