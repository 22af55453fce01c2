"""State → names → wire answers. Sockets are handed in, already open in their namespace."""
