"""Published ports on the running kernel: sockets, rules, connections."""
