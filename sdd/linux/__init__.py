"""Doors to the kernel that more than one backend needs: namespaces, netlink, libnftables."""
