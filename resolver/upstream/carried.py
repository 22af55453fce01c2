"""What came over UDP, or over TCP in its stead, and why there; for people, too.

In: what a datagram was. Out: values, and the words for them.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from resolver.message import reply
from resolver.upstream import forward
from resolver.upstream.sockets import Why

BECAUSE: Final[Mapping[forward.Trust, str]] = {
    forward.Trust.TRUNCATED: "did not fit a datagram",
    forward.Trust.OTHER_CASE: "came back in other letters",
    forward.Trust.FORGED: "was answered by somebody else",
}
NO_COOKIE: Final = "came without our cookie"
OTHER_COOKIE: Final = "was answered by a wish for other cookies"
FORGETS_CASE: Final = (
    "does not keep the case of letters: from now on it is asked in plain ones, which prove less"
)
FORGED: Final = (
    "somebody else answers in its place, with a wrong id or question: what was asked so is asked"
    " again over TCP"
)


class Carried(NamedTuple):
    """A message, where its question ends, and how it came.

    `lost` is why there is no more of it where it was cut, `because` why it was asked for over TCP.
    """

    data: bytes
    end: int
    transport: str
    lost: Why | None = None
    because: str = ""


class Said(NamedTuple):
    """A checked reply and how it came, as in `Carried`."""

    found: reply.Reply
    transport: str
    because: str = ""
