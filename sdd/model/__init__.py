"""Frozen values, one noun per file. They know nothing of stores, kernels, clocks or wires."""
