"""Published ports: which numbers of this node an object gets, and that nobody else has them.

In: requests and the Ground. Out: ports, and in a Draft the claims on them. Whether another program
of the host has a number is not known here for sure: whoever binds it will see.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

from sdd import errors
from sdd.control import keys
from sdd.control.ground import Draft, Ground
from sdd.model import bridge, ids, network, port, reach, request
from sdd.model.network import IPAddress
from sdd.model.port import Mode, Policy, Port, Protocol
from sdd.model.ways import Ways

MOST = 4096  # ports of one object: more is a mistake, or a job for the container's own address
EVERY = "*"  # how a claim names "all addresses"
Busy = frozenset[tuple[Protocol, int]]
NOT_BUSY: Busy = frozenset()
USUAL = MappingProxyType({"sandbox": Mode.HOST, "service": Mode.INGRESS})


class Book:
    """Who publishes what on this node, with the changes of one draft."""

    def __init__(self, ground: Ground, draft: Draft) -> None:
        self.ground = ground
        self._draft = draft
        self._pages: dict[str, dict[IPAddress | None, str]] = {}

    def in_the_way(self, wanted: Port, *, but: str = "") -> str:
        """The holder of an overlapping port, other than `but`; empty when there is none."""
        page = self._page(wanted)
        found = (page[each] for each in page if port.overlap(each, wanted.address))
        return next((each for each in found if each != but), "")

    def put(self, made: Port, holder: str) -> None:
        """`holder` publishes the port."""
        if not made.published:
            return  # at its own address: no number of this node
        self._page(made)[made.address] = holder
        self._write(made)

    def drop(self, gone: Port, holder: str) -> None:
        """`holder` does not publish it any more."""
        if not gone.published:
            return
        page = self._page(gone)
        if page.get(gone.address) == holder:
            del page[gone.address]
            self._write(gone)

    def withdraw(self, holder: str, gone: Iterable[Port]) -> None:
        """`holder` does not publish these any more."""
        for each in gone:
            self.drop(each, holder)

    def restore(self, holder: str, now: Sequence[Port], then: Sequence[Port]) -> None:
        """`holder` publishes `then` and not `now`; refused when somebody has one meanwhile."""
        kept = set(now) & set(then)
        self.withdraw(holder, (each for each in now if each not in kept))
        for each in then:
            if each not in kept:
                if taken := self.in_the_way(each, but=holder):
                    raise _in_use(self.ground, each, taken)
                self.put(each, holder)

    def _page(self, of: Port) -> dict[IPAddress | None, str]:
        key = self._key(of)
        if key not in self._pages:
            lines = (line.split(" ") for line in self.ground.claims.ports_at(key).splitlines())
            self._pages[key] = {
                None if address == EVERY else ip_address(address): holder
                for address, holder in lines
            }
        return self._pages[key]

    def _write(self, of: Port) -> None:
        lines = (f"{address or EVERY} {holder}" for address, holder in self._page(of).items())
        self._draft.rewrite(self._key(of), "\n".join(lines))

    def _key(self, of: Port) -> str:
        return keys.port(self.ground.node, of.protocol, of.published)


def needs_a_look(asked: Iterable[request.Publish]) -> bool:
    """Whether a number has to be chosen, and so what other programs have is of interest."""
    return any(not each.published or _is_choice(each) for each in asked)


def publish(
    book: Book,
    who: tuple[str, str],
    asked: Sequence[request.Publish],
    nets: Sequence[network.Network],
    *,
    busy: Busy = NOT_BUSY,
    have: Sequence[Port] = (),
) -> tuple[Port, ...]:
    """The ports of the object `who` (its kind, its id), claimed in `book`; `have` come first.

    `nets` are the networks behind which the targets are. Refused: SDD-PUBLISH-PORT, -NETWORK,
    -INUSE, -EXHAUSTED, -MANY, -MODE.
    """
    kind, holder = who
    found = Ways(have)
    for each in asked:
        _check(each, kind)
        is_ingress = _is_ingress(each, kind)
        address = _address(each, nets, is_ingress=is_ingress)
        is_bound = is_ingress or any(map(reach.published, nets))
        if _count(each) + len(found) > MOST:
            raise _too_many(_count(each) + len(found))
        for target, numbers in _wanted(each, book.ground):
            like = Port(
                published=0,
                target=target,
                protocol=each.protocol,
                mode=each.mode or USUAL[kind],
                policy=each.policy,
                address=address,
            )
            if not is_bound:
                made = like
                if made in found.along(made):
                    continue
            elif isinstance(numbers, int):
                like = replace(like, published=numbers)
                if any(_is_same(one, like) for one in found.along(like)):
                    continue
                _check_way(found, like)
                made = _exactly(book, like, but=holder if found.is_beside(like) else "")
            else:
                made = _first_free(book, like, numbers, busy)
            book.put(made, holder)
            found.add(made)
    return found.all()


# --- choices ---------------------------------------------------------------------------------


def _wanted(asked: request.Publish, ground: Ground) -> Iterator[tuple[int, int | Sequence[int]]]:
    """Each target with its number, or with all the numbers that will do, the best first."""
    targets = _span(asked.target, asked.target_last)
    numbers = _span(asked.published, asked.published_last)
    if not asked.published:
        for target in targets:
            yield target, _automatic(ground)
    elif _is_choice(asked):
        yield asked.target, numbers
    else:
        yield from zip(targets, numbers, strict=True)


def _automatic(ground: Ground) -> Sequence[int]:
    """The whole range from a random place on: a number is not given again at once."""
    every = range(port.AUTO_FIRST, port.AUTO_LAST + 1)
    start = int.from_bytes(ground.entropy(4), "big") % len(every)
    return (*every[start:], *every[:start])


def _exactly(book: Book, wanted: Port, *, but: str) -> Port:
    if holder := book.in_the_way(wanted, but=but):
        raise _in_use(book.ground, wanted, holder)
    return wanted


def _first_free(book: Book, like: Port, numbers: Sequence[int], busy: Busy) -> Port:
    for number in numbers:
        made = replace(like, published=number)
        if (made.protocol, number) not in busy and not book.in_the_way(made):
            return made
    raise _none_free(like.protocol, numbers)


def _is_same(have: Port, wanted: Port) -> bool:
    """Whether `have` does already what `wanted` asks for."""
    if have.is_wide and have.is_beside(wanted):
        return False  # it asks for 127.0.0.1 as well
    return _how(have) == _how(wanted) and port.covers(have.address, wanted.address)


def _how(one: Port) -> tuple[object, ...]:
    return (one.published, one.protocol, one.target, one.mode, one.policy)


def wants_ingress(asked: Iterable[request.Publish]) -> bool:
    """Whether a service with such ports is reached by way of the network `ingress`."""
    return any(_is_ingress(each, "service") for each in asked)


def _is_ingress(asked: request.Publish, kind: str) -> bool:
    return (asked.mode or USUAL[kind]) is Mode.INGRESS and asked.policy is not Policy.LOCAL


def _address(
    asked: request.Publish, nets: Sequence[network.Network], *, is_ingress: bool
) -> IPAddress | None:
    """The host address: what was asked, else what the network's option says, else all.

    Where there is only a way by the target's own address, no address of the host counts.
    """
    versions = {version for net in nets for version in reach.published(net)}
    if is_ingress:  # there everybody has both, whatever the network of the service is like
        versions = {4, 6}
    if not versions:
        if not any(map(reach.routed, nets)):
            raise _no_way(nets)
        return None
    if asked.address is not None:
        if isinstance(asked.address, IPv6Address) and asked.address.is_loopback:
            raise _loopback(asked)
        if asked.address.version not in versions:
            raise _other_version(asked.address, nets)
        return asked.address
    return next((found for net in nets if (found := _binding(net)) is not None), None)


def _binding(net: network.Network) -> IPv4Address | None:
    return bridge.of(net).binding4 if net.driver is network.Driver.BRIDGE else None


def _span(first: int, last: int) -> range:
    return range(first, max(first, last) + 1)


def _count(asked: request.Publish) -> int:
    return len(_span(asked.target, asked.target_last))


def _is_choice(asked: request.Publish) -> bool:
    """Several numbers for one target."""
    return asked.published_last > asked.published and asked.target_last <= asked.target


# --- checks ----------------------------------------------------------------------------------


def _check(asked: request.Publish, kind: str) -> None:
    ends = (asked.target, asked.target_last, asked.published, asked.published_last)
    for number in ends:
        if not 0 <= number <= port.LAST or not asked.target:
            raise errors.Invalid(
                f"port {number if asked.target else 0} is not between {port.FIRST} and {port.LAST}",
                hint="example: --publish published=8080,target=80",
                code="SDD-PUBLISH-PORT",
            )
    pairs = ((asked.published, asked.published_last), (asked.target, asked.target_last))
    numbers = len(_span(asked.published, asked.published_last))
    if any(0 < other < one for one, other in pairs):
        wrong = " and ".join(f"{one}-{other}" for one, other in pairs if 0 < other < one)
        raise errors.Invalid(
            f"a range of ports runs backwards: {wrong}",
            hint="the smaller number first, for example: --publish 8000-8009:80-89/tcp",
            code="SDD-PUBLISH-PORT",
        )
    if asked.published and not _is_choice(asked) and numbers != _count(asked):
        raise errors.Invalid(
            "a range of published ports and its range of target ports must be equally long",
            hint="example: --publish 8000-8009:80-89/tcp",
            code="SDD-PUBLISH-PORT",
        )
    if kind == "sandbox" and asked.mode is Mode.INGRESS:
        raise errors.Invalid(
            f"port {asked.target}/{asked.protocol} of a sandbox cannot be published with"
            " mode=ingress, which is for services",
            hint="leave the mode out, or publish a service that the sandbox joins",
            code="SDD-PUBLISH-MODE",
        )


def _check_way(found: Ways, wanted: Port) -> None:
    """That the same object has not published the same otherwise: it would stay as it is."""
    for each in found.along(wanted):
        is_met = port.overlap(each.address, wanted.address) and not each.is_beside(wanted)
        if is_met and _how(each) != _how(wanted):
            gone = f"{each.published}:{each.target}/{each.protocol}"
            raise errors.Conflict(
                f"port {each} leads to target port {each.target} already, with mode={each.mode} and"
                f" policy={each.policy}, and cannot with mode={wanted.mode} and"
                f" policy={wanted.policy} as well",
                hint=f"to change it, take it away in the same update: --publish-rm {gone}",
                code="SDD-PUBLISH-INUSE",
            )


def _too_many(count: int) -> errors.Invalid:
    return errors.Invalid(
        f"{count} published ports are more than the {MOST} that one object may have",
        hint="publish fewer, or reach the sandbox by its own address",
        code="SDD-PUBLISH-MANY",
    )


def _no_way(nets: Sequence[network.Network]) -> errors.Invalid:
    names = ", ".join(net.name for net in nets) or "none"
    return errors.Invalid(
        f"nothing can be published behind the networks given ({names}): it needs a bridge network"
        " with a gateway, in gateway mode nat or routed, that is not internal",
        hint="connect to such a network as well, leave out --publish, or publish a service that"
        " the sandbox joins, with mode=ingress",
        code="SDD-PUBLISH-NETWORK",
    )


def _loopback(asked: request.Publish) -> errors.Invalid:
    return errors.Invalid(
        f"port {asked.target}/{asked.protocol} cannot be published on ::1: the kernel lets no"
        " packet from there out, so nobody would ever reach it",
        hint="publish it on 127.0.0.1, which this host alone reaches, or on an address of the host",
        code="SDD-PUBLISH-NETWORK",
    )


def _other_version(address: IPAddress, nets: Sequence[network.Network]) -> errors.Invalid:
    names = ", ".join(net.name for net in nets)
    return errors.Invalid(
        f"no port can be published on {address}: behind it nobody has an IPv{address.version}"
        f" address on a network that lets ports in ({names})",
        hint="no kernel leads packets from one IP version to the other: give a host address of the"
        " other, or make the network with both (--ipv6)",
        code="SDD-PUBLISH-NETWORK",
    )


def _in_use(ground: Ground, wanted: Port, holder: str) -> errors.Conflict:
    return errors.Conflict(
        f"Bind for {_where(wanted)} failed: port is already allocated: {wanted} is published by"
        f" {_words(ground, holder)}",
        hint="choose another number, or leave `published` out to get a free one",
        code="SDD-PUBLISH-INUSE",
    )


def _where(of: Port) -> str:
    match of.address:
        case None:
            return f"0.0.0.0:{of.published}"
        case IPv6Address():
            return f"[{of.address}]:{of.published}"
        case _:
            return f"{of.address}:{of.published}"


def _words(ground: Ground, holder: str) -> str:
    if box := ground.now.sandboxes.get(ids.SandboxId(holder)):
        return f"sandbox {box.name}"
    if svc := ground.now.services.get(ids.ServiceId(holder)):
        return f"service {svc.name}"
    return "the same object"


def _none_free(protocol: Protocol, numbers: Sequence[int]) -> errors.Exhausted:
    return errors.Exhausted(
        f"all ports are allocated: {min(numbers)}-{max(numbers)}/{protocol} are taken, every one",
        hint="remove what publishes some of them, or give another number",
        code="SDD-PUBLISH-EXHAUSTED",
    )
