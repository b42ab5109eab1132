"""The gates, blocking and for event loops, and their platforms' versions."""
