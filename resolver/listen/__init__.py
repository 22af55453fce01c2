"""The listeners inside the sandboxes."""
