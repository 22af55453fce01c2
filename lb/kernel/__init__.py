"""The kernel's balancers behind one contract: ipvs and nftables."""
