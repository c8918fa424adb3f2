"""What evmon costs, against what it competes with: ``python -m benchmarks``."""
