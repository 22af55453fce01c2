"""What a kernel counted for a backend → whether that speaks against it. Pure.

Only a sign: whoever is suspect is checked at once, never taken for down (balancing.md §7).
"""

from collections.abc import Mapping

from lb.growth import Growth


def is_suspect(grown: Mapping[str, Growth]) -> bool:
    """Whether a backend got connections in some seconds and did not answer them as one that lives.

    `grown` is by protocol. A TCP connection that is served brings back at least two packets: one
    each is a refusal, none is silence. A datagram may want no answer at all, so only several in a
    row that stay alone are a sign, and only of a program that is known to answer.
    """
    tcp, udp = grown.get("tcp", Growth()), grown.get("udp", Growth())
    if tcp.connections and tcp.out_packets <= tcp.connections:
        return True
    return udp.in_packets >= _SEVERAL and udp.out_packets == 0


_SEVERAL = 3
