"""Sockets: addresses, binding and adopting, listeners, what waits in them, closing without loss."""
