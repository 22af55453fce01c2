"""The table in a sandbox: what all services share, as nft's text, and how one is recorded. Pure.

Table `inet sdd-lb` of a sandbox: `vip4`/`vip6` send the first packet of a connection to the chain
of its virtual address, the chain chooses a backend and rewrites the destination; conntrack keeps
the connection there. `own4`/`own6` hold every virtual address: what still goes to one is refused.
The comments of a chain's rules record who serves with what weight, so that one chain's comments are
one service; where they need more room, rules follow that no packet reaches. The rules of a service
are `nft_rules`'s, and `slots-…`, the map of one that hashes into many slots, is `nft_slots`'s.
"""

import hashlib
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from types import MappingProxyType

from lb import choice, table
from lb.kernel import nft_counts, nft_frame
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

PRIORITY = -100  # NF_IP_PRI_NAT_DST: where destinations are rewritten
FORMAT = 7  # counts up when the rules of services change, so that a new release writes its own
PORTED = "ported"  # the set of protocols that have ports
# Where a new flow is sent that no backend takes: to this sandbox itself, where `returned` refuses
# it. Refused on the way out, a send would fail with EPERM instead of hearing "refused".
NOWHERE = MappingProxyType({4: ip_address("127.93.93.93"), 6: ip_address("::1")})


def comments(service: table.VirtualService, choices: int) -> list[str]:
    """What the comments of the service's rules must be; at least `choices`, which choose."""
    payloads = list(_payloads(service))
    payloads += [""] * (choices - len(payloads))
    label, count = f"sdd {_digest(service, payloads)}", len(payloads)
    return [
        f"{label} {at}/{count} {payload}" if payload else f"{label} {at}/{count}"
        for at, payload in enumerate(payloads, start=1)
    ]


class Records:
    """What the comments of services must be, put together once each: for the time of one change."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[table.VirtualService, list[str]]] = {}

    def of(self, service: table.VirtualService) -> list[str]:
        """Its comments."""
        # By identity, which is cheap; it is held, so that nobody else gets its number.
        if id(service) not in self._made:
            self._made[id(service)] = (service, comments(service, choice.rules(service)))
        return self._made[id(service)][1]


def service_of(vip: IPAddress, found: Sequence[str]) -> table.VirtualService | None:
    """The service whose rules carry exactly these comments; None when they are not ours or whole.

    Untrusted: anybody may have written them.
    """
    words = [each.split(" ") for each in found]
    if not words or any(len(each) < _LABEL_WORDS or each[0] != "sdd" for each in words):
        return None
    try:
        number, scheduler, persistence, *records = (
            word for each in words for word in each[_LABEL_WORDS:]
        )
        pairs = [record.split("=") for record in records]
        service = table.VirtualService(
            number=int(number),
            vip=vip,
            scheduler=Scheduler(scheduler),
            persistence_s=int(persistence),
            backends=tuple(
                table.Backend(address=ip_address(address), weight=int(weight))
                for address, weight in pairs
            ),
        )
    except ValueError:
        return None
    return service if _are_of(service, found) else None


def digest(service: table.VirtualService) -> str:
    """Changes whenever the service's rules would; 16 hex characters."""
    return _digest(service, list(_payloads(service)))


_MOST_CHOICES = 9  # rules that choose (choice.rules): more than slots could ever be
_LABEL_WORDS = 3  # "sdd", digest, place
_PAYLOAD = 128 - len("sdd 0123456789abcdef 1000/1000 ")  # nft takes comments of 128


def _are_of(service: table.VirtualService, found: Sequence[str]) -> bool:
    # More rules than those that choose are there only if the record needs them.
    choices = min(len(found), _MOST_CHOICES)
    return list(found) == comments(service, choices)


def _payloads(service: table.VirtualService) -> Iterator[str]:
    line = f"{service.number} {service.scheduler} {service.persistence_s}"
    version = service.vip.version
    for each in service.backends:
        record = f"{_text(version, each.packed)}={each.weight}"
        if len(line) + 1 + len(record) > _PAYLOAD:
            yield line
            line = record
        else:
            line = f"{line} {record}"
    yield line


def _digest(service: table.VirtualService, payloads: Sequence[str]) -> str:
    text = f"{FORMAT} {_written(service.vip)} {' '.join(payloads)}".rstrip()
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def _written(address: IPAddress) -> str:
    return _text(address.version, address.packed)


def _text(version: int, packed: bytes) -> str:
    """As `str` does, in C for IPv4: of a thousand services that is what takes the time."""
    return socket.inet_ntoa(packed) if version == 4 else str(ip_address(packed))  # noqa: PLR2004 - a family


# `returned` refuses what was sent to nowhere. Behind the rewriting, `refuse` meets what still goes
# to a virtual address, so that no such packet leaves the sandbox. It is a filter, because a nat
# chain sees no packet before some rule says dnat: only that switches conntrack on in a namespace.
_LEAD = ("ip daddr vmap @vip4", "ip6 daddr vmap @vip6")
_REFUSE = ("ip daddr @own4 goto refused", "ip6 daddr @own6 goto refused")
CHAINS = (
    nft_frame.Chain("output", ("nat", "output", PRIORITY), _LEAD),
    nft_frame.Chain("refused", None, nft_frame.REJECT),
    nft_frame.Chain("refuse", ("filter", "output", PRIORITY + 10), _REFUSE),
    nft_frame.Chain(
        "returned",
        ("filter", "input", PRIORITY + 10),
        (
            f"ip daddr {NOWHERE[4]} ct original ip daddr @own4 goto refused",
            f"ip6 daddr {NOWHERE[6]} ct original ip6 daddr @own6 goto refused",
        ),
    ),
    *nft_counts.CHAINS,
)


def chains_of(uplink: str) -> tuple[nft_frame.Chain, ...]:
    """The shared chains; with an `uplink`, what comes over it is balanced as well.

    Nothing else is forwarded: the networks of the members are no way from one to another.
    """
    if not uplink:
        return CHAINS
    from_outside = tuple(f'iifname "{uplink}" {rule}' for rule in _LEAD)
    return (
        *CHAINS,
        nft_frame.Chain("arriving", ("nat", "prerouting", PRIORITY), from_outside),
        nft_counts.PASSING,
        nft_frame.Chain(
            "forward",
            ("filter", "forward", 0),
            (*(f'iifname "{uplink}" {rule}' for rule in _REFUSE), "ct status dnat accept", "drop"),
        ),
    )


def frame_of(uplink: str) -> str:
    """The table without its services."""
    sets = (
        f"set {PORTED} {{ type inet_proto; elements = {{ tcp, udp, sctp }}; }}",
        "map vip4 { type ipv4_addr : verdict; }",
        "map vip6 { type ipv6_addr : verdict; }",
        "set own4 { type ipv4_addr; }",
        "set own6 { type ipv6_addr; }",
        *nft_counts.SETS,
    )
    return nft_frame.frame(sets, chains_of(uplink))


def chain(vip: IPAddress) -> str:
    """The name of a virtual address's chain; IPv6 as 32 digits, since names take no colons."""
    return f"vip-{_written(vip)}" if vip.version == 4 else f"vip-{vip.packed.hex()}"  # noqa: PLR2004 - a family


def slots(vip: IPAddress, size: int) -> str:
    """The name of the map of those of so many slots that lead elsewhere than where fewer do."""
    return f"slots-{chain(vip).removeprefix('vip-')}-{size}"
