"""Synchronous HTTP over the unix socket; speaks plain dictionaries."""
