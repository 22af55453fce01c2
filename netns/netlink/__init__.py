"""Batched rtnetlink and libnftables: the hot paths of kernel work."""
