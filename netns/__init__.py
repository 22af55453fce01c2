"""Networks, endpoints and sandboxes → links, addresses, routes and rules."""
