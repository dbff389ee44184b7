"""The version of Greenwave, as shown by /api/health, the metrics and the command line."""

VERSION = "0.1.0"
"""Semantic version; the same as `version` in pyproject.toml, which a test compares."""
