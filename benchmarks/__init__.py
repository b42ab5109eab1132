"""Benchmarks of prefork, each against a rival or a target; see README.md."""
