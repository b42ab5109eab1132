"""prefork: many processes, one socket."""
