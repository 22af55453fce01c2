"""The MACs of our own links on the host: each is made of the id of its object. Pure."""


def made_of(identity: str) -> str:
    """That of a link of ours on the host, which stays when the object is made again.

    A bridge's own would follow its ports, and the neighbours' caches would go stale.
    """
    return ":".join(["02", *(identity[place : place + 2] for place in range(0, 10, 2))])


def is_made_of(identity: str, mac: str) -> bool:
    """Whether `mac` is `made_of(identity)`, at the cost of a look."""
    begin = beginning(mac)
    return bool(begin) and identity.startswith(begin)


def beginning(mac: str) -> str:
    """With what the ids begin of which `mac` is made; empty if it is made of none."""
    return mac[3:].replace(":", "") if mac.startswith("02:") else ""
