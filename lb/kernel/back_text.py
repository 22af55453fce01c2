"""Ways back → nft text and back again. Pure.

Table `inet sdd-ingress` of a member: `arriving` knows the ingress sandboxes by their MACs and marks
packet and connection, for each packet of the client, since a flow may move to another node; nobody
else may send anything over the link. `asked` leads to the sandbox's usual address. `answering`
gives an answer the mark of its connection: by it the rules of `ip rule` find the way. Nothing can
be begun over the link (`closed`). `record` is never run: its comments say what all of it is made
of, so that it can be read without reading rules.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network

from lb.back import BASE, MASK, Back, Home, Node
from lb.kernel import nft_frame

TABLE = "sdd-ingress"
REMOVE = f"add table inet {TABLE}\ndelete table inet {TABLE}"  # adding first: it may be absent
RECORD = "record"
FORMAT = 1  # counts up when the text below changes, so that a new release writes its own
_MANGLE, _DNAT, _FILTER = -150, -100, 10
_IP = {4: "ip", 6: "ip6"}


def text(back: Back) -> str:
    """The whole table anew."""
    record = "\n".join(f'accept comment "{each}"' for each in comments(back))
    told = f"chain {RECORD} {{\n{record}\n}}"
    return "\n".join((REMOVE, nft_frame.frame((told,), chains_of(back), TABLE)))


def chains_of(back: Back) -> tuple[nft_frame.Chain, ...]:
    """The chains that do the work."""
    link = f'iifname "{back.link}"'
    marks = ", ".join(f"{each.mac} : {each.mark:#x}" for each in back.nodes)
    return (
        nft_frame.Chain(
            "arriving",
            ("filter", "prerouting", _MANGLE),
            (
                f"{link} meta mark set ether saddr map {{ {marks} }}",
                f"{link} meta mark & {MASK:#x} != {BASE:#x} drop",
                f"{link} ct direction original ct mark set meta mark",
            ),
        ),
        nft_frame.Chain("asked", ("nat", "prerouting", _DNAT), tuple(_homes(back))),
        nft_frame.Chain(
            "answering",
            ("route", "output", _MANGLE),
            (f"ct direction reply ct mark & {MASK:#x} == {BASE:#x} meta mark set ct mark",),
        ),
        nft_frame.Chain(
            "closed",
            ("filter", "output", _FILTER),
            (f'oifname "{back.link}" ct direction original reject with icmpx type no-route',),
        ),
    )


def _homes(back: Back) -> Iterator[str]:
    for own in back.own:
        ip, version = _IP[own.version], own.version
        start = f'iifname "{back.link}" {ip} daddr {own} dnat {ip} to'
        mine = [each for each in back.homes if each.clients.version == version]
        near = [f"{each.clients} : {each.address}" for each in mine if each.clients.prefixlen]
        if near:
            yield f"{start} {ip} saddr map {{ {', '.join(near)} }}"
        yield from (f"{start} {each.address}" for each in mine if not each.clients.prefixlen)


# --- the record ---------------------------------------------------------------------------------


def comments(back: Back) -> list[str]:
    """What the comments of the record must be."""
    lines = list(_lines(back))
    digest = hashlib.blake2s(f"{FORMAT} {lines}".encode(), digest_size=8).hexdigest()
    return [f"sdd {digest} {at}/{len(lines)} {each}" for at, each in enumerate(lines, start=1)]


def back_of(found: Mapping[str, Sequence[str]]) -> Back | None:
    """What a table with these comments is made of; None when it is not ours or not whole.

    Untrusted: anybody may have written them.
    """
    told = list(found.get(RECORD, ()))
    words = [each.split(" ")[_LABEL_WORDS:] for each in told]
    try:
        back = _parsed(words)
    except (ValueError, IndexError):
        return None
    return back if comments(back) == told else None


_LABEL_WORDS = 3  # "sdd", digest, place


def _lines(back: Back) -> Iterator[str]:
    yield f"link {back.link}"
    yield from (f"own {each}" for each in back.own)
    yield from (f"home {each.clients} {each.address}" for each in back.homes)
    yield from (f"beside {each.clients} {each.address}" for each in back.beside)
    for node in back.nodes:
        yield " ".join(("node", node.mac, f"{node.mark:#x}", *map(str, node.gateways)))
    yield from (f"lost {each}" for each in back.lost)


def _parsed(words: Sequence[Sequence[str]]) -> Back:
    (link,) = (each[1] for each in words if each[0] == "link")
    return Back(
        link=link,
        own=tuple(ip_address(each[1]) for each in words if each[0] == "own"),
        homes=tuple(_home(each) for each in words if each[0] == "home"),
        beside=tuple(_home(each) for each in words if each[0] == "beside"),
        nodes=tuple(
            Node(mac=each[1], mark=int(each[2], 16), gateways=tuple(map(ip_address, each[3:])))
            for each in words
            if each[0] == "node"
        ),
        lost=tuple(int(each[1]) for each in words if each[0] == "lost"),
    )


def _home(words: Sequence[str]) -> Home:
    return Home(clients=ip_network(words[1]), address=ip_address(words[2]))
