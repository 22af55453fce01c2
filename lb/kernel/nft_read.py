"""The table `inet sdd-lb` as the kernel holds it, read by netlink without the contents of its maps.

Listing through libnftables costs 0.24 s per 10 000 backends; here the rules' comments say what they
hold, and only the two small record maps are read element by element. Netlink attributes:
include/uapi/linux/netfilter/nf_tables.h.
"""

import ipaddress
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from lb import plan, table
from lb.kernel import nft_text
from sdd.linux import netlink
from sdd.model.network import IPAddress

_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_ELEMENT = (_SUBSYSTEM | each for each in (1, 4, 7, 13))
_INET = struct.pack(">BBH", 1, 0, 0)  # struct nfgenmsg: NFPROTO_INET
_DORMANT = 1  # NFT_TABLE_F_DORMANT: the table's chains are not hooked
_NF_ACCEPT = 1
_HOOKS = MappingProxyType({0: "prerouting", 1: "input", 3: "output"})  # enum nf_inet_hooks
_WIDTH = MappingProxyType({4: 4, 6: 16})  # bytes of an address
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT

Hook = tuple[str, str, int]
Comments = Mapping[str, Sequence[str]]  # chain → its rules' comments, in order


def present(connection: netlink.Connection) -> bool:
    """Whether the namespace of `connection` has the table."""
    (result,) = connection.request((_named(_GET_TABLE, netlink.text(1, nft_text.TABLE)),))
    return not result.error


def read(connection: netlink.Connection, only: Collection[IPAddress] | None = None) -> table.Table:
    """What is there; with `only`, nothing but those virtual addresses is looked at.

    Every flaw concerns the frame: damage by hand is rare and the table is then written anew.
    """
    if not present(connection):
        return table.EMPTY
    if only is None:
        comments = _comments(connection, b"")
        services, flaws = _services(connection, comments, None)
        flaws = [*_frame_flaws(connection, comments, services.keys()), *flaws]
    else:
        comments = {}
        for vip in only:
            comments |= _comments(connection, netlink.text(2, nft_text.chain(vip)))
        services, flaws = _services(connection, comments, only)
    return table.Table(
        services=MappingProxyType(services),
        flaws=tuple(table.Flaw(what=what) for what in flaws),
    )


def _services(
    connection: netlink.Connection, comments: Comments, only: Collection[IPAddress] | None
) -> tuple[dict[IPAddress, table.VirtualService], list[str]]:
    targets = _targets(connection, only)
    own = _own(connection, only)
    weights = _weights(connection, only)
    services, flaws = {}, []
    for vip in sorted(
        targets.keys() | own | weights.keys(), key=lambda one: (one.version, int(one))
    ):
        found = _service(vip, comments.get(nft_text.chain(vip), ()), weights.get(vip, {}))
        if found is None or targets.get(vip) != nft_text.chain(vip) or vip not in own:
            flaws.append(f"the rules of {vip} are not as sdd writes them")
        else:
            services[vip] = found
    return services, flaws


def _service(
    vip: IPAddress, comments: Sequence[str], weights: Mapping[IPAddress, int]
) -> table.VirtualService | None:
    labels = [nft_text.label(each) for each in comments]
    first = labels[0] if labels else None
    if first is None:
        return None
    backends = [table.Backend(address=each, weight=weight) for each, weight in weights.items()]
    found = table.VirtualService(
        number=first.number,
        vip=vip,
        scheduler=first.scheduler,
        persistence_s=first.persistence_s,
        backends=plan.ordered(backends),
    )
    places = [each and (each.place, each.count, each.digest) for each in labels]
    digest = nft_text.digest(found)
    whole = [(at, len(labels), digest) for at in range(1, len(labels) + 1)]
    return found if places == whole else None


def _frame_flaws(
    connection: netlink.Connection, comments: Comments, vips: Iterable[IPAddress]
) -> Iterator[str]:
    (result,) = connection.request((_named(_GET_TABLE, netlink.text(1, nft_text.TABLE)),))
    for reply in result.replies:
        if int.from_bytes(_body(reply).get(2, b""), "big") & _DORMANT:
            yield "the table is dormant"
    hooks = dict(_hooks(connection))
    for each in nft_text.CHAINS:
        if hooks.pop(each.name, ()) != each.hook:
            yield f"the chain {each.name!r} is not hooked as sdd does it"
        if tuple(comments.get(each.name, ())) != each.comments:
            yield f"the rules of the chain {each.name!r} are not as sdd writes them"
    plain = {nft_text.chain(vip) for vip in vips}
    for name, hook in hooks.items():
        if name not in plain or hook is not None:
            yield f"the chain {name!r} is not one of sdd's"


def _hooks(connection: netlink.Connection) -> Iterator[tuple[str, Hook | None]]:
    """Each chain and where it hooks, None when nowhere; a policy of drop is told as a type."""
    for reply in connection.dump(_GET_CHAIN, _INET):
        found = _body(reply)
        if netlink.to_text(found.get(1, b"")) != nft_text.TABLE:
            continue
        name, hook = netlink.to_text(found.get(3, b"")), found.get(4)
        if hook is None:
            yield name, None
            continue
        inner = netlink.attributes(hook)
        (number,), (priority,) = struct.unpack(">I", inner[1]), struct.unpack(">i", inner[2])
        kind = netlink.to_text(found.get(7, b""))
        if int.from_bytes(found.get(5, b""), "big") != _NF_ACCEPT:
            kind += " that drops"
        yield name, (kind, _HOOKS.get(number, str(number)), priority)


def _comments(connection: netlink.Connection, narrower: bytes) -> dict[str, list[str]]:
    """Also a rule without a comment counts: it is not ours."""
    body = _INET + netlink.text(1, nft_text.TABLE) + narrower
    comments: defaultdict[str, list[str]] = defaultdict(list)
    for reply in connection.dump(_GET_RULE, body):
        found = _body(reply)
        comments[netlink.to_text(found.get(2, b""))].append(_comment(found.get(7, b"")))
    return dict(comments)


def _comment(userdata: bytes) -> str:
    while len(userdata) > 1:  # type, length, payload: libnftnl's udata, one byte each
        kind, length = userdata[0], userdata[1]
        if kind == _COMMENT:
            return netlink.to_text(userdata[2 : 2 + length])
        userdata = userdata[2 + length :]
    return ""


def _targets(
    connection: netlink.Connection, only: Collection[IPAddress] | None
) -> dict[IPAddress, str]:
    """Virtual address → the chain its verdict goes to."""
    found: dict[IPAddress, str] = {}
    for vip, value in _by_vip(connection, "vip", only):
        verdict = netlink.attributes(netlink.attributes(value).get(2, b""))
        found[vip] = netlink.to_text(verdict.get(2, b""))
    return found


def _own(connection: netlink.Connection, only: Collection[IPAddress] | None) -> set[IPAddress]:
    """The virtual addresses to which untranslated packets are refused."""
    return {vip for vip, _ in _by_vip(connection, "own", only)}


def _by_vip(
    connection: netlink.Connection, name: str, only: Collection[IPAddress] | None
) -> Iterator[tuple[IPAddress, bytes]]:
    """(address, data) of a pair of maps or sets whose key is a virtual address."""
    for family in _WIDTH:
        if only is None:
            elements = _dumped(connection, f"{name}{family}")
        else:
            keys = [each.packed for each in only if each.version == family]
            elements = _looked_up(connection, f"{name}{family}", keys)
        for key, value in elements:
            yield ipaddress.ip_address(key), value


def _weights(
    connection: netlink.Connection, only: Collection[IPAddress] | None
) -> dict[IPAddress, dict[IPAddress, int]]:
    """Virtual address → backend → weight."""
    found: defaultdict[IPAddress, dict[IPAddress, int]] = defaultdict(dict)
    for family, width in _WIDTH.items():
        wanted = None if only is None else {each.packed for each in only if each.version == family}
        if wanted is not None and not wanted:
            continue
        for key, value in _dumped(connection, f"weight{family}"):
            if wanted is not None and key[:width] not in wanted:
                continue
            vip, backend = (ipaddress.ip_address(key[at : at + width]) for at in (0, width))
            found[vip][backend] = netlink.to_int(netlink.attributes(value).get(1, b""))
    return found


def _dumped(connection: netlink.Connection, name: str) -> Iterator[tuple[bytes, bytes]]:
    yield from _elements(connection.dump(_GET_ELEMENT, _INET + _in_map(name)))


def _looked_up(
    connection: netlink.Connection, name: str, keys: Iterable[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    requests = [
        _named(
            _GET_ELEMENT,
            _in_map(name)
            + netlink.nested(3, netlink.nested(1, netlink.nested(1, netlink.attribute(1, key)))),
        )
        for key in keys
    ]
    for result in connection.request(requests):
        yield from _elements(result.replies)


def _elements(replies: Iterable[netlink.Reply]) -> Iterator[tuple[bytes, bytes]]:
    """(key, data attribute) of each element."""
    for reply in replies:
        for _, element in netlink.walk(_body(reply).get(3, b"")):
            found = netlink.attributes(element)
            yield netlink.attributes(found.get(1, b"")).get(1, b""), found.get(2, b"")


def _in_map(name: str) -> bytes:
    return netlink.text(1, nft_text.TABLE) + netlink.text(2, name)


def _named(kind: int, attributes: bytes) -> netlink.Message:
    return netlink.Message(kind, 0, _INET + attributes)


def _body(reply: netlink.Reply) -> dict[int, bytes]:
    return netlink.attributes(reply.body[len(_INET) :])
