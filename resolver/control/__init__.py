"""sdd's end of the conversation with the worker."""
