"""HTTP over a unix socket: one route table, one file per resource."""
