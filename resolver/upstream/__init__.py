"""Names of others: choice of a server, the sockets, what is remembered."""
