"""Where operators connect: a Unix socket, or the loopback interface, which needs a token."""
