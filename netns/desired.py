"""To be filled by the networks part."""
