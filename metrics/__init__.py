"""Counters anyone may bump, and the page Prometheus reads."""
