"""Names that are each asker's own loopback address, whoever would tell them otherwise."""

from typing import Final

LOCALHOST: Final = "localhost"


def is_loopback(name: str) -> bool:
    """Whether `name` is `localhost` or below it (RFC 6761 §6.3)."""
    return f".{name.lower()}".endswith(f".{LOCALHOST}")
