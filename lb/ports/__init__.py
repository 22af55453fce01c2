"""Published ports: numbers of the node that lead into sandboxes."""
