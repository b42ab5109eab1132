"""What the kinds that run in an event loop have in common."""
