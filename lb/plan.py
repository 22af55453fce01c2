"""To be filled by the balancing part."""
