"""Names of our own: records, tables, and what they answer."""
