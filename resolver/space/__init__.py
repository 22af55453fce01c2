"""What a sandbox's namespace needs: listeners, the rewrite of port 53."""
