"""How a link's other end is."""

from enum import Enum


class Cable(Enum):
    """What `IFF_LOWER_UP` tells of a link (netdevice(7)), or that there is none any more."""

    UP = "up"
    DOWN = "down"
    GONE = "gone"
