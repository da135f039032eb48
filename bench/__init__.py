"""Benchmarks: ratios to a native floor, taken in the same run."""
