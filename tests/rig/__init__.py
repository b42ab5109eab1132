"""What the tests run servers with: processes, clients, waiting."""
