"""Pure choices of pools, addresses, VIPs, names and numbers."""
