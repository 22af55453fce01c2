"""Services → kernel balancing, in the namespace of whoever calls."""
