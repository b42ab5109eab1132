"""The log, and writing it without blocking."""
