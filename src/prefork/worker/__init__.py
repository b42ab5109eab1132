"""What runs in a worker process: boot, gate, and one file for each kind of handler."""
