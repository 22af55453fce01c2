"""Tables of virtual services → nft text: one buffer, one transaction. Pure.

Table `inet sdd-lb` of a sandbox: `vip4`/`vip6` send the first packet of a connection to the chain
of its virtual address, the chain chooses a backend and rewrites the destination; conntrack keeps
the connection there. `own4`/`own6` hold every virtual address: what still goes to one is refused.
Rules behind the choice, which no packet reaches, record in their comments who serves with what
weight, so that one chain's comments are one service.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address

from lb import choice, table
from lb.kernel import nft_frame
from lb.kernel.nft_frame import REMOVE, TABLE
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

PRIORITY = -100  # NF_IP_PRI_NAT_DST: where destinations are rewritten
FORMAT = 2  # counts up when the text below changes, so that a new release writes its own
PORTS = "{ tcp, udp, sctp }"


def comments(service: table.VirtualService, choices: int) -> list[str]:
    """What the comments of the service's rules must be: `choices` that choose, then the record."""
    head = f"{service.number} {service.scheduler} {service.persistence_s}"
    payloads = [head, *[""] * (choices - 1), *_records(service)]
    content = digest(service)
    return [
        f"sdd {content} {at}/{len(payloads)} {payload}".rstrip()
        for at, payload in enumerate(payloads, start=1)
    ]


def service_of(vip: IPAddress, found: Sequence[str]) -> table.VirtualService | None:
    """The service whose rules carry exactly these comments; None when they are not ours or whole.

    Untrusted: anybody may have written them.
    """
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


def _records(service: table.VirtualService) -> Iterator[str]:
    line = ""
    for each in service.backends:
        record = f"{each.address}={each.weight}"
        if line and len(line) + 1 + len(record) > _RECORD_LENGTH:
            yield line
            line = ""
        line = f"{line} {record}".lstrip()
    if line:
        yield line


_LABEL_WORDS = 3  # "sdd", digest, place
_RECORD_LENGTH = 128 - len("sdd 0123456789abcdef 1000/1000 ")  # nft takes comments of 128


def digest(service: table.VirtualService) -> str:
    """Changes whenever the service's rules would; 16 hex characters."""
    backends = ",".join(f"{each.address}={each.weight}" for each in service.backends)
    settings = f"{service.number} {service.scheduler} {service.persistence_s}"
    text = f"{FORMAT} {service.vip} {settings} {backends}"
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


def rebuild(after: table.Table) -> str:
    """Everything, from nothing: whatever the table was, it is `after` when this succeeds."""
    lines = [REMOVE, FRAME]
    for service in after.services.values():
        lines.extend(_rules(service))
        lines.extend(_elements(service.vip))
    return "\n".join(lines)


def changes(have: table.Table, after: table.Table, vips: Collection[IPAddress]) -> str:
    """What turns `have` into `after` for `vips`, leaving all other services alone."""
    lines: list[str] = []
    for vip in vips:
        before, service = have.services.get(vip), after.services.get(vip)
        if service is not None:
            lines.extend(_rules(service))
            lines.extend(_elements(vip) if before is None else ())
        elif before is not None:
            lines.extend(_removal(vip))
    return "\n".join(lines)


def _rules(service: table.VirtualService) -> Iterator[str]:
    name = chain(service.vip)
    yield f"add chain inet {TABLE} {name}"
    yield f"flush chain inet {TABLE} {name}"
    rules = _verdicts(service)
    labels = comments(service, len(rules))
    for at, comment in enumerate(labels):
        rule = rules[at] if at < len(rules) else "accept"
        yield f'add rule inet {TABLE} {name} {rule} comment "{comment}"'


def _verdicts(service: table.VirtualService) -> Sequence[str]:
    ip = choice.family(service.vip.version)
    ready = choice.taking(service.open, service.scheduler)
    if not ready:
        return ("accept",)  # untranslated: the frame refuses it
    first = f"dnat {ip} to {ready[0].address}"  # what has no ports: a ping
    if len(ready) == 1:
        return (first,)
    chosen = choice.of(ip, ready, service.scheduler, service.persistence_s)
    return (f"meta l4proto {PORTS} dnat {ip} to {chosen}", first)


def _elements(vip: IPAddress) -> Iterator[str]:
    yield f"add element inet {TABLE} vip{vip.version} {{ {vip} : goto {chain(vip)} }}"
    yield f"add element inet {TABLE} own{vip.version} {{ {vip} }}"


def _removal(vip: IPAddress) -> Iterator[str]:
    name = chain(vip)
    for each in ("vip", "own"):
        yield f"delete element inet {TABLE} {each}{vip.version} {{ {vip} }}"
    yield f"flush chain inet {TABLE} {name}"
    yield f"delete chain inet {TABLE} {name}"
