"""Records that people add to a network: which may be, and which go.

In: requests and the Ground. Out: plans. All records of a network are guarded by the network
itself: a CNAME is alone at its name, and that cannot be seen key by key.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from types import MappingProxyType

from resolver.names import added, spelling
from resolver.names import records as owned
from sdd import errors
from sdd.alloc import names
from sdd.control import lookup
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import address, ids, network, request
from sdd.model.record import ADDRESSING, NAMING, WILDCARD, Record, RecordType
from sdd.state import ClusterState

TEXT_MAX = 2000  # bytes of a TXT record: fits one message beside everything else
NUMBER_MAX = 65535  # priority, weight and port of SRV are 16 bits
MOST_AT_A_NAME = 100  # records of one name: more would fit into no UDP answer anyway
SRV_FIELDS = 4


def add(ground: Ground, asked: request.RecordAdd) -> Plan[Record]:
    """A new record.

    Refused: SDD-RECORD-NETWORK, -NAME, -TYPE, -DATA, -EXISTS, -CNAME, -TAKEN, -MANY.
    """
    net = lookup.network(ground.now, asked.network)
    if not net.has_names:
        raise errors.Invalid(
            f"the pre-defined network {net.name} has no names, so it takes no records",
            hint="make a network of your own: sdctl network create NAME",
            code="SDD-RECORD-NETWORK",
        )
    name, kind = checked_name(net, asked.name), checked_type(asked.type)
    _check_target(net, name, kind, asked.data)
    data = checked_data(kind, asked.data)
    made = Record(
        id=_identity(net, name, kind, data),
        network=net.id,
        name=name,
        kind=kind,
        data=data,
        created=ground.at,
    )
    _check_room(ground.now, net, made)
    draft = Draft(ground)
    draft.touch(net)
    draft.create(made)
    return draft.plan(made, {made.id})


def remove(ground: Ground, asked: request.RecordRemove) -> Plan[tuple[Record, ...]]:
    """The records of that name, or only those of the type, or only the one with the data.

    Refused: SDD-RECORD-NOTFOUND.
    """
    net = lookup.network(ground.now, asked.network)
    name = checked_name(net, asked.name)
    kind = checked_type(asked.type) if asked.type else None
    data = checked_data(kind, asked.data) if kind and asked.data else ""
    gone = tuple(
        each
        for each in ground.now.records_by_network.get(net.id, ())
        if each.name == name and kind in (None, each.kind) and data in ("", each.data)
    )
    if not gone:
        asked_for = " ".join(filter(None, (name, kind, data)))
        raise errors.NotFound(
            f"network {net.name} has no record {asked_for}",
            hint=f"list what there is with: sdctl dns record ls {net.name}",
            code="SDD-RECORD-NOTFOUND",
        )
    draft = Draft(ground)
    draft.touch(net)
    for each in gone:
        draft.remove(each)
    return draft.plan(gone, {each.id for each in gone})


def holders(now: ClusterState, net: ids.NetworkId) -> Mapping[str, str]:
    """Names that somebody on `net` has by itself → who, as a phrase; the reverse ones as well."""
    held: dict[str, str] = {}
    for end in now.endpoints_by_network.get(net, ()):
        box = now.sandboxes[end.sandbox]
        held |= dict.fromkeys(
            _with_reverse(owned.names_of(box, end), end.hosts), f"sandbox {box.name}"
        )
    for svc in now.services_by_network.get(net, ()):
        held |= dict.fromkeys(
            _with_reverse(owned.names_of_service(svc), svc.vips), f"service {svc.name}"
        )
    return held


def _with_reverse(named: Iterable[str], addresses: Iterable[network.IPAddress]) -> Iterator[str]:
    """The names, and those where the PTR records of the addresses are."""
    yield from named
    yield from (each.reverse_pointer for each in addresses)


def is_shadowed(of: Record, held: Mapping[str, str]) -> bool:
    """Whether one of the `holders` of its network has the name now, and answers instead."""
    return of.kind in ADDRESSING and of.name in held


def circle(
    now: ClusterState, net: network.Network, made: Record, held: Collection[str]
) -> tuple[Record, ...]:
    """The aliases that lead from `made` back to it, itself first; empty when it does not.

    As the server follows them: through the records of the network, wildcards included, up to names
    that are `held`.
    """
    there = (*now.records_by_network.get(net.id, ()), made)
    known = {each.name for each in there} | set(held)
    aliases = {
        each.name: each for each in there if each.kind is RecordType.CNAME and each.name not in held
    }
    way: list[Record] = []
    at: Record | None = made
    while at is not None and at not in way:
        way.append(at)
        at = _stands_for(at.data, aliases, known, f".{net.name.lower()}")
    return tuple(way) if at is made else ()


def _stands_for(
    target: str, aliases: Mapping[str, Record], known: Collection[str], end: str
) -> Record | None:
    """The alias that answers for `target`: its own, or the nearest wildcard (RFC 4592 §3.3.1)."""
    name = target.removesuffix(end)
    if name in aliases or name in known:
        return aliases.get(name)
    while "." in target:
        target = target.partition(".")[2]
        above = target.removesuffix(end)
        if f"{WILDCARD}{above}" in known or above in known:
            return aliases.get(f"{WILDCARD}{above}")
    return None


# --- checks ----------------------------------------------------------------------------------


def checked_name(net: network.Network, text: str) -> str:
    """The canonical name; raises Invalid `SDD-RECORD-NAME`."""
    whole = text.lower().removesuffix(".")
    name = whole.removesuffix(f".{net.name.lower()}")
    if name == WILDCARD.removesuffix("."):
        name = whole  # `*.NETWORK` is below the network; a bare `*` would be the whole world
    try:
        names.checked_owned("record", name.removeprefix(WILDCARD))
    except errors.Invalid as exc:
        raise errors.Invalid(
            f"{errors.quoted(text)} cannot be the name of a record",
            hint=f"{exc.hint}; a wildcard is *.NAME and stands alone in front",
            code="SDD-RECORD-NAME",
        ) from None
    return name


def checked_type(text: str) -> RecordType:
    """The type; raises Invalid `SDD-RECORD-TYPE`."""
    try:
        return RecordType(text.upper())
    except ValueError:
        raise errors.Invalid(
            f"records of type {errors.quoted(text)} cannot be added",
            hint=f"the types are {', '.join(RecordType)}; addresses of sandboxes, services,"
            " A and AAAA records have a PTR record by themselves",
            code="SDD-RECORD-TYPE",
        ) from None


def checked_data(kind: RecordType, text: str) -> str:
    """The canonical data; raises Invalid `SDD-RECORD-DATA`."""
    try:
        return FORMS[kind](text)
    except (ValueError, errors.Invalid):
        raise errors.Invalid(
            f"{errors.quoted(text)} is no data of a record of type {kind}",
            hint=f"it looks like this: {EXAMPLES[kind]}",
            code="SDD-RECORD-DATA",
        ) from None


def _host(text: str) -> str:
    return names.checked_host("target", text.lower().removesuffix("."))


def _text(text: str) -> str:
    if not 0 < len(text.encode()) <= TEXT_MAX:
        raise ValueError(text)
    return text


def _srv(text: str) -> str:
    *numbers, target = text.split()
    if len(numbers) != SRV_FIELDS - 1 or not all(each.isascii() for each in numbers):
        raise ValueError(text)
    values = [int(each) for each in numbers if each.isdigit()]
    if len(values) != len(numbers) or max(values) > NUMBER_MAX:
        raise ValueError(text)
    # A target of "." says: decidedly not here (RFC 2782).
    return " ".join((*map(str, values), target if target == "." else _host(target)))


FORMS: Mapping[RecordType, Callable[[str], str]] = MappingProxyType(
    {
        RecordType.A: lambda text: str(IPv4Address(text)),
        RecordType.AAAA: lambda text: str(address.parse_v6(text)),
        RecordType.CNAME: _host,
        RecordType.TXT: _text,
        RecordType.SRV: _srv,
    }
)
EXAMPLES: Mapping[RecordType, str] = MappingProxyType(
    {
        RecordType.A: "10.0.0.9",
        RecordType.AAAA: "fd00::9",
        RecordType.CNAME: "other.example",
        RecordType.TXT: f'"some text" of up to {TEXT_MAX} bytes',
        RecordType.SRV: "PRIORITY WEIGHT PORT TARGET, such as 0 10 8080 web",
    }
)


def _check_target(net: network.Network, name: str, kind: RecordType, data: str) -> None:
    """That what leads to a name does not lead to an address; raises Invalid `SDD-RECORD-DATA`."""
    _, _, target = data.strip().rpartition(" ")
    if kind not in NAMING or not (family := _family(target)):
        return
    here = kind is RecordType.CNAME
    owner = name if here else "NAME"
    then = "" if here else f", then let the {kind} record lead to NAME"
    raise errors.Invalid(
        f"a {kind} record leads to a name, and {target} is an address",
        hint=f"for an address: sdctl dns record add {net.name} {owner} {family} {target}{then}",
        code="SDD-RECORD-DATA",
    )


def _family(text: str) -> RecordType | None:
    """The type of the records of the address that `text` is, if it is one."""
    for kind in (RecordType.A, RecordType.AAAA):
        try:
            FORMS[kind](text)
        except ValueError:
            continue
        return kind
    return None


def _check_room(now: ClusterState, net: network.Network, made: Record) -> None:
    """What else is at that name."""
    there = [each for each in now.records_by_network.get(net.id, ()) if each.name == made.name]
    if any(each.id == made.id for each in there):
        raise errors.Conflict(
            f"network {net.name} has the record {made} already", code="SDD-RECORD-EXISTS"
        )
    if there and (made.kind is RecordType.CNAME or there[0].kind is RecordType.CNAME):
        raise errors.Conflict(
            f"a CNAME is alone at its name, and network {net.name} has the record {there[0]}",
            hint=f"remove that one first: sdctl dns record rm {net.name} {made.name}",
            code="SDD-RECORD-CNAME",
        )
    if made.kind is RecordType.CNAME and made.data in (made.name, f"{made.name}.{net.name}"):
        raise errors.Invalid(f"{made.name} cannot be an alias of itself", code="SDD-RECORD-CNAME")
    held = holders(now, net.id) if made.kind in ADDRESSING else {}
    if taken := held.get(made.name):
        raise errors.Conflict(
            f"the name {made.name} belongs to {taken} on network {net.name}",
            hint="choose another name; TXT and SRV records may be added beside it",
            code="SDD-RECORD-TAKEN",
        )
    if made.kind is RecordType.CNAME and (way := circle(now, net, made, held)):
        words = " → ".join((made.name, *(each.data for each in way)))
        raise errors.Conflict(
            f"{made.name} would be an alias of itself on network {net.name}: {words}",
            hint=f"let one of them lead elsewhere; what there is: sdctl dns record ls {net.name}",
            code="SDD-RECORD-CNAME",
        )
    _check_count(net, made, there)


def _check_count(net: network.Network, made: Record, there: Collection[Record]) -> None:
    """That an answer takes all records of a type: of a set in part nobody can tell what is missing.

    Raises Conflict `SDD-RECORD-MANY`.
    """
    if len(there) >= MOST_AT_A_NAME:
        raise errors.Conflict(
            f"{made.name} has {len(there)} records on network {net.name} already",
            hint=f"a name has at most {MOST_AT_A_NAME}",
            code="SDD-RECORD-MANY",
        )
    alike = [each for each in there if each.kind is made.kind]
    if not added.fits((*alike, made), spelling.spelled(net.name)):
        raise errors.Conflict(
            f"{made.name} has {len(alike)} records of type {made.kind} on network {net.name}"
            " already, which with this one are longer than an answer may be (65535 bytes)",
            hint="add it under another name, or shorter",
            code="SDD-RECORD-MANY",
        )


def _identity(net: network.Network, name: str, kind: RecordType, data: str) -> ids.RecordId:
    text = f"{net.id}\0{name}\0{kind}\0{data}"
    digest = hashlib.blake2b(text.encode(), digest_size=ids.ID_BYTES).digest()
    return ids.RecordId(ids.from_random(digest))
