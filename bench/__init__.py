"""Benchmarks: Greenwave beside its peers, in the same run on the same machine, in rounds that take turns.

`make bench` runs all of it and writes docs/benchmarks.md. Nothing here passes or fails.
"""
