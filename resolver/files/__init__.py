"""resolv.conf and hosts: the host's, ours, and those of foreign roots."""
