"""The control socket: server, client, Unix and loopback transports, token."""
