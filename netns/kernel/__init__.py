"""Reads what links, addresses, routes and rules are; does what the plan says."""
