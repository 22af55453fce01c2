"""To be filled by the names part."""
