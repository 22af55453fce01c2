"""Tables of virtual services → nft text: one buffer, one transaction. Pure.

Table `inet sdd-lb` of a sandbox: `vip4`/`vip6` send the first packet of a connection to the chain
of its virtual address, the chain chooses a backend and rewrites the destination; conntrack keeps
the connection there. `own4`/`own6` hold every virtual address: what still goes to one is refused.
`weight4`/`weight6` record who serves with what weight: the reader uses them, no rule does. Every
rule carries a comment from which the reader knows that it is ours and unchanged (anonymous maps
cannot be edited once a rule uses them).
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lb import maglev, table, turns
from lb.kernel import nft_frame
from lb.kernel.nft_frame import REMOVE, TABLE
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler

PRIORITY = -100  # NF_IP_PRI_NAT_DST: where destinations are rewritten
FORMAT = 1  # counts up when the text below changes, so that a new release writes its own
SEED = 0x53444400  # any constant: all nodes must hash alike
PORTS = "{ tcp, udp, sctp }"

_WEIGHTED = frozenset({Scheduler.WRR, Scheduler.WLC, Scheduler.SED, Scheduler.NQ})
# What IPVS hashes: mh with its port flag the flow, sh the client, dh the virtual address.
_HASHED = MappingProxyType(
    {
        Scheduler.MH: "{ip} saddr . th sport",
        Scheduler.SH: "{ip} saddr",
        Scheduler.DH: "{ip} daddr",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a rule's comment says: whose rule, of which content, the how-manieth of how many."""

    number: int
    scheduler: Scheduler
    persistence_s: int
    digest: str
    place: int
    count: int

    @property
    def content(self) -> tuple[int, int, str]:
        """What must be right of each label of a chain."""
        return self.place, self.count, self.digest

    def __str__(self) -> str:
        return (
            f"sdd {self.number} {self.scheduler} {self.persistence_s} "
            f"{self.digest} {self.place}/{self.count}"
        )


def label(comment: str) -> Label | None:
    """The label in a rule's comment; None when it is not one of ours."""
    match comment.split():
        case ["sdd", number, scheduler, persistence, digest, place] if (
            number.isdigit() and persistence.isdigit() and scheduler in set(Scheduler)
        ):
            at, _, count = place.partition("/")
            if at.isdigit() and count.isdigit():
                return Label(
                    number=int(number),
                    scheduler=Scheduler(scheduler),
                    persistence_s=int(persistence),
                    digest=digest,
                    place=int(at),
                    count=int(count),
                )
    return None


def digest(service: table.VirtualService) -> str:
    """Changes whenever the service's rules would; 16 hex characters."""
    backends = [(str(each.address), each.weight) for each in service.backends]
    facts = (FORMAT, str(service.vip), service.number, service.scheduler.value)
    text = repr((*facts, service.persistence_s, backends))
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
        "map weight4 { type ipv4_addr . ipv4_addr : mark; }",
        "map weight6 { type ipv6_addr . ipv6_addr : mark; }",
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
        lines.extend(_elements(service, before=None))
    return "\n".join(lines)


def changes(have: table.Table, after: table.Table, vips: Collection[IPAddress]) -> str:
    """What turns `have` into `after` for `vips`, leaving all other services alone."""
    lines: list[str] = []
    for vip in vips:
        before, service = have.services.get(vip), after.services.get(vip)
        if service is not None:
            lines.extend(_rules(service))
            lines.extend(_elements(service, before))
        elif before is not None:
            lines.extend(_removal(before))
    return "\n".join(lines)


def _rules(service: table.VirtualService) -> Iterator[str]:
    name = chain(service.vip)
    yield f"add chain inet {TABLE} {name}"
    yield f"flush chain inet {TABLE} {name}"
    rules = _verdicts(service)
    for at, rule in enumerate(rules, start=1):
        mine = Label(
            number=service.number,
            scheduler=service.scheduler,
            persistence_s=service.persistence_s,
            digest=digest(service),
            place=at,
            count=len(rules),
        )
        yield f'add rule inet {TABLE} {name} {rule} comment "{mine}"'


def _verdicts(service: table.VirtualService) -> Sequence[str]:
    ip = "ip" if service.vip.version == 4 else "ip6"  # noqa: PLR2004 - a family
    ready = service.open
    if not ready:
        return ("accept",)  # untranslated: the frame refuses it
    if len(ready) == 1:
        return (f"dnat {ip} to {ready[0].address}",)
    first = f"dnat {ip} to {ready[0].address}"  # what has no ports: a ping
    if (key := _hash_key(service)) is None:
        round_ = turns.turns(ready, weighted=service.scheduler in _WEIGHTED)
        chosen = f"numgen inc mod {len(round_)} map {_slots(round_)}"
    else:
        filled = maglev.slots(ready)
        key = key.format(ip=ip)
        chosen = f"jhash {key} mod {len(filled)} seed {SEED:#x} map {_slots(filled)}"
    return (f"meta l4proto {PORTS} dnat {ip} to {chosen}", first)


def _hash_key(service: table.VirtualService) -> str | None:
    if service.persistence_s:  # the client keeps its backend: its address alone decides
        return _HASHED[Scheduler.SH]
    return _HASHED.get(service.scheduler)


def _slots(backends: Sequence[table.Backend]) -> str:
    return "{ " + ", ".join(f"{at} : {each.address}" for at, each in enumerate(backends)) + " }"


def _elements(service: table.VirtualService, before: table.VirtualService | None) -> Iterator[str]:
    family = service.vip.version
    old = before.weights if before is not None else {}
    new = service.weights
    yield from _weights("delete", service.vip, [one for one in old if new.get(one) != old[one]], {})
    yield from _weights("add", service.vip, [one for one in new if new[one] != old.get(one)], new)
    if before is None:
        goto = f"{service.vip} : goto {chain(service.vip)}"
        yield f"add element inet {TABLE} vip{family} {{ {goto} }}"
        yield f"add element inet {TABLE} own{family} {{ {service.vip} }}"


def _removal(before: table.VirtualService) -> Iterator[str]:
    name = chain(before.vip)
    for each in ("vip", "own"):
        yield f"delete element inet {TABLE} {each}{before.vip.version} {{ {before.vip} }}"
    yield f"flush chain inet {TABLE} {name}"
    yield f"delete chain inet {TABLE} {name}"
    yield from _weights("delete", before.vip, list(before.weights), {})


def _weights(
    verb: str, vip: IPAddress, addresses: Sequence[IPAddress], weights: dict[IPAddress, int]
) -> Iterator[str]:
    if addresses:
        each = [f"{vip} . {one}" + (f" : {weights[one]}" if weights else "") for one in addresses]
        yield f"{verb} element inet {TABLE} weight{vip.version} {{ {', '.join(each)} }}"
