"""Starting the arbiter, from a command or from a Python program."""
