"""Workers with an event loop."""
