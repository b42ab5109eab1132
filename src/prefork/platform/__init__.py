"""The system: processes, signals, limits.  No rules."""
