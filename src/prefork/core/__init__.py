"""The rules: pure and deterministic, without processes, sockets, signals or clocks."""
