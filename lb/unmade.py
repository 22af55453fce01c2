"""Checks that could not be made: what is for want of something here says nothing of a member.

In: an error of the system, and the check. Out: whether it is of this host. What may come from the
member or from the way to it is finite: resets and ICMP errors. All else is a lack here: of files,
memory, processes, buffers, ports to connect from, a route, the firewall's leave.
"""

import errno
from dataclasses import dataclass

from lb.checks import Check

_IPV4 = 4


@dataclass(frozen=True, slots=True)
class Unmade:
    """In place of a result; `reason` is a short text for people, as there."""

    reason: str


def is_ours(exc: OSError, check: Check) -> bool:
    """Whether an error of connecting, sending or reading is of the host that makes the check."""
    match exc.errno:
        case None | 0:  # nothing of the system's: what was said is wrong
            return False
        case errno.ENETUNREACH | errno.ENETDOWN | errno.EINVAL:
            # The lack of a route, or one that is a black hole: of whoever asks. A router between
            # them could say the first, too, but a member is on the link.
            return not check.is_at_home
        case errno.EACCES:
            # IPv6 has it for a firewall that says "administratively prohibited", which is heard;
            # IPv4 for a route of this host alone.
            return check.address.version == _IPV4
        case code:
            return code not in _HEARD


# icmp_err_convert in net/ipv4/icmp.c, tab_unreach in net/ipv6/icmp.c, and what ends a connection.
_HEARD = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EMSGSIZE,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.ENOTCONN,
        errno.EOPNOTSUPP,
        errno.EPIPE,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)
