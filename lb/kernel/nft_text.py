"""The table in a sandbox: what all services share, as nft's text, and how one is recorded. Pure.

Table `inet sdd-lb` of a sandbox: `vip4`/`vip6` send the first packet of a connection to the chain
of its virtual address, the chain chooses a backend and rewrites the destination; conntrack keeps
the connection there. `own4`/`own6` hold every virtual address: what still goes to one is refused.
Rules behind the choice, which no packet reaches, record in their comments who serves with what
weight, so that one chain's comments are one service. The rules of a service are `nft_rules`'s.
"""

import hashlib
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from lb import table
from lb.kernel import nft_frame
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

PRIORITY = -100  # NF_IP_PRI_NAT_DST: where destinations are rewritten
FORMAT = 3  # counts up when the rules of services change, so that a new release writes its own
PORTED = "ported"  # the set of protocols that have ports


def comments(service: table.VirtualService, choices: int) -> list[str]:
    """What the comments of the service's rules must be: `choices` that choose, then the record."""
    head = _head(service)
    records = list(_records(service))
    content = _digest(service, head, records)
    count = choices + len(records)
    first = f"sdd {content} 1/{count} {head}"
    bare = [f"sdd {content} {at}/{count}" for at in range(2, choices + 1)]
    places = enumerate(records, start=choices + 1)
    return [first, *bare, *(f"sdd {content} {at}/{count} {record}" for at, record in places)]


def service_of(
    vip: IPAddress, found: Sequence[str], likely: table.VirtualService | None = None
) -> table.VirtualService | None:
    """The service whose rules carry exactly these comments; None when they are not ours or whole.

    Untrusted: anybody may have written them. Whether it is the `likely` one is cheap to see.
    """
    if likely is not None and found and list(found) in _possible(likely, len(found)):
        return likely
    words = [each.split(" ") for each in found]
    if not words or any(len(each) < _LABEL_WORDS or each[0] != "sdd" for each in words):
        return None
    head, records = words[0][_LABEL_WORDS:], [one for each in words[1:] for one in each[3:] if one]
    try:
        number, scheduler, persistence = head
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
    choices = sum(len(each) == _LABEL_WORDS for each in words[1:]) + 1
    return service if list(found) == comments(service, choices) else None


def _possible(service: table.VirtualService, count: int) -> Iterator[list[str]]:
    """The comments of the service, if there are as many."""
    for choices in _CHOICES:
        if len(there := comments(service, choices)) == count:
            yield there


def _head(service: table.VirtualService) -> str:
    return f"{service.number} {service.scheduler} {service.persistence_s}"


def _records(service: table.VirtualService) -> Iterator[str]:
    line = ""
    for each in service.backends:
        record = f"{each.address}={each.weight}"
        if line and len(line) + 1 + len(record) > _RECORD_LENGTH:
            yield line
            line = ""
        line = f"{line} {record}" if line else record
    if line:
        yield line


_CHOICES = (2, 1)  # a service has one rule that chooses, and one for pings; or the latter alone
_LABEL_WORDS = 3  # "sdd", digest, place
_RECORD_LENGTH = 128 - len("sdd 0123456789abcdef 1000/1000 ")  # nft takes comments of 128


def digest(service: table.VirtualService) -> str:
    """Changes whenever the service's rules would; 16 hex characters."""
    return _digest(service, _head(service), list(_records(service)))


def _digest(service: table.VirtualService, head: str, records: Sequence[str]) -> str:
    text = f"{FORMAT} {service.vip} {head} {' '.join(records)}"
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


# Behind the rewriting, `refuse` meets what still goes to a virtual address: with no backend the
# client hears "refused" at once, and no packet to a virtual address leaves the sandbox. It is a
# filter, because a nat chain sees no packet before some rule says dnat: only that switches
# conntrack on in a namespace.
CHAINS = (
    nft_frame.Chain(
        "output",
        ("nat", "output", PRIORITY),
        ("ip daddr vmap @vip4", "ip6 daddr vmap @vip6"),
    ),
    nft_frame.Chain("refused", None, nft_frame.REJECT),
    nft_frame.Chain(
        "refuse",
        ("filter", "output", PRIORITY + 10),
        ("ip daddr @own4 goto refused", "ip6 daddr @own6 goto refused"),
    ),
)
FRAME = nft_frame.frame(
    (
        f"set {PORTED} {{ type inet_proto; elements = {{ tcp, udp, sctp }}; }}",
        "map vip4 { type ipv4_addr : verdict; }",
        "map vip6 { type ipv6_addr : verdict; }",
        "set own4 { type ipv4_addr; }",
        "set own6 { type ipv6_addr; }",
    ),
    CHAINS,
)


def chain(vip: IPAddress) -> str:
    """The name of a virtual address's chain; IPv6 as 32 digits, since names take no colons."""
    return f"vip-{vip}" if vip.version == 4 else f"vip-{vip.packed.hex()}"  # noqa: PLR2004 - a family
