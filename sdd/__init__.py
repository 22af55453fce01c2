"""The daemon and what its parts share. Nothing runs at import."""
