"""The arbiter: the parent process, a loop that decides, acts and waits."""
