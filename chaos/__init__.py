"""Fault injection: real processes and a real Redis, with every event accounted for.

``python -m chaos`` does all runs; ``python -m chaos kill-processes`` does one.
"""
