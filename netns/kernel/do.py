"""Steps on links, addresses and routes → rtnetlink messages on a `Wire`.

One function per kind of step, in a table. Each may raise `wire.Missing`.
"""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from netns import steps, world
from netns.kernel import marks, read, sysctl
from netns.kernel.wire import ABSENT, NOTHING, Missing, Wire
from netns.netlink import address, link, number, route
from netns.world import Setting
from sdd.linux import netlink


def run(wire: Wire, step: steps.Step) -> None:
    """Queues or does `step`; raises `Missing`, or OSError from a /proc file."""
    _DO[type(step)](wire, step)


def drop_links(wire: Wire, group: Sequence[steps.DropLink]) -> None:
    """Removes many links for the price of one: each alone would keep the kernel for 20 ms."""
    there = [(step, index) for step in group if (index := wire.find(step.name))]
    if len(there) == 1:
        step, index = there[0]
        wire.remove({index: step}, [(step, link.delete(index))])
    elif there:
        moves = [(step, link.move_to_group(index, marks.LEAVING)) for step, index in there]
        last = (there[-1][0], link.delete_group(marks.LEAVING))
        wire.remove({index: step for step, index in there}, [*moves, last])


def _add_link(wire: Wire, step: steps.AddLink) -> None:
    wanted = step.link
    wire.forget(wanted.name)
    if _is_born(wire, step, _made(wire, wanted)):
        _prepare(wanted)
        wire.add(step, *_changes(wire, wanted))


def _add_child(wire: Wire, step: steps.AddChild) -> None:
    parent = wire.index(step.link.parent)  # before the descriptor: asking sends what is queued
    wire.add(step, _made(wire, step.link, parent, wire.descriptor(step.inside)))


def _made(wire: Wire, wanted: world.Link, parent: int = 0, inside: int = -1) -> netlink.Message:
    return link.add(
        wanted.kind.value,
        wanted.name,
        group=marks.GROUP,
        mac=wanted.mac,
        mtu=wanted.mtu,
        parent=parent or (wire.index(wanted.parent) if wanted.parent else 0),
        data=_DATA[wanted.kind](wanted) if wanted.kind in _DATA else b"",
        inside=inside,
    )


_DATA: Mapping[world.Kind, Callable[[world.Link], bytes]] = {
    world.Kind.VLAN: lambda wanted: link.vlan(wanted.mode),
    world.Kind.MACVLAN: lambda wanted: link.macvlan(wanted.mode),
    world.Kind.IPVLAN: lambda wanted: link.ipvlan(wanted.mode, wanted.flags),
}


def _add_pair(wire: Wire, step: steps.AddPair) -> None:
    """Made and changed in one go: the changes name the link by the index that only it can have.

    By its name they would reach the foreign one that stood in the way of the making.
    """
    outer, inner = step.outer, step.inner
    if outer.master:
        wire.index(outer.master)  # before the descriptor: asking sends what is queued
    index = wire.give_index(outer.name)
    # Not the same: programs take a link whose other end has its own index for a physical one.
    inner_index = wire.give_index(inner.name) if step.inside == step.space else index + 1
    wire.born.setdefault(step.inside, {})[inner.name] = inner_index
    inside = wire.descriptor(step.inside)
    if step.inside != step.space:  # what happens in there is to be news here
        wire.add(step, number.give(inside), tolerated=_THERE)
    made = link.add_pair(
        link.End(name=outer.name, index=index, mac=outer.mac, mtu=outer.mtu),
        link.End(name=inner.name, index=inner_index, mac=inner.mac, mtu=inner.mtu),
        group=marks.GROUP,
        inside=inside,
    )
    wire.add(step, made, *_changes(wire, outer, index=index))


def _is_born(wire: Wire, step: steps.Step, made: netlink.Message) -> bool:
    """Whether the link was made: one that stood in the way is foreign and must not be changed.

    Its group marks it as ours, should we be killed before it gets its alias.
    """
    wire.add(step, made)
    wire.flush()
    return not wire.has_refused(step)


def _set_link(wire: Wire, step: steps.SetLink) -> None:
    _prepare(step.link)
    wire.add(step, *_changes(wire, step.link, index=wire.newborn(step.link.name)))
    state = dict(step.link.settings).get(Setting.STATE)
    if state is not None:
        forward = link.change_port(step.link.name, {link.PORT_STATE: state})
        wire.add(step, forward, tolerated=_NOT_NOW)


# It has no carrier yet, or the bridge has STP: the kernel lets it forward in its own time.
_NOT_NOW = frozenset({errno.ENETDOWN, errno.EBUSY})


def _changes(wire: Wire, wanted: world.Link, *, index: int = 0) -> Iterator[netlink.Message]:
    """Comes up last, by a message of its own: of one message the kernel does that first.

    A newborn link counts as one with a carrier until the kernel has looked: it would have a
    link-local address before it hears that it shall have none (net/ipv6/addrconf.c,
    addrconf_link_ready). A port gets its modes after it became one. `index`: the link is a newborn
    end of a pair, which is told only what it is not born with.
    """
    port = _port(wanted) - (_BORN_WITH if index else frozenset())
    which, own = index or wanted.name, _own(wanted)
    if not wanted.settings and not own:
        yield _change(wire, which, wanted, up=wanted.up, is_newborn=bool(index))
        return
    yield _change(wire, which, wanted, up=None, is_newborn=bool(index))
    if port:
        yield link.change_port(which, dict(port))
    if own:
        yield link.change_kind(which, wanted.kind.value, own)
    yield link.change(which, up=wanted.up)


def _port(wanted: world.Link) -> frozenset[tuple[int, int]]:
    """What a port of a bridge does, by the kernel's numbers."""
    return frozenset((read.PORT[each], to) for each, to in wanted.settings if each in read.PORT)


_BORN_WITH = frozenset((read.PORT[each], value) for each, value in world.NEWBORN_PORT)


def _own(wanted: world.Link) -> bytes:
    """What only links of its kind have, and can be changed of one that is there."""
    if wanted.kind in world.CHILDREN:
        return _DATA[wanted.kind](wanted)
    stp = dict(wanted.settings).get(Setting.STP)
    return b"" if stp is None else link.bridge(stp)


def _change(
    wire: Wire, which: link.Which, wanted: world.Link, *, up: bool | None, is_newborn: bool
) -> netlink.Message:
    """Its own MAC once more would cost the kernel as much as another one."""
    settings = dict(wanted.settings)
    is_free = is_newborn or wanted.kind is world.Kind.LOOPBACK
    arp = settings.get(Setting.ARP)
    return link.change(
        which,
        up=up,
        arp=None if arp is None else bool(arp),
        alias=marks.to_alias(wanted.mark) if wanted.mark else None,
        mac="" if is_newborn else wanted.mac,
        mtu=0 if is_newborn else wanted.mtu,
        master=wire.index(wanted.master) if wanted.master else None if is_free else 0,
        conf4={read.CONF4[each]: value for each, value in settings.items() if each in read.CONF4},
        gen_mode=settings.get(Setting.ADDR_GEN_MODE, -1),
    )


def _prepare(wanted: world.Link) -> None:
    """What must be set before the link comes up, and only files can."""
    for each, value in wanted.settings:
        if each in read.CONF6:
            sysctl.set6(wanted.name, each.value, value)
    for file, value in sorted(wanted.sysctls):
        try:
            sysctl.set_named(file, value)
        except OSError as exc:
            raise Missing(f"{file.replace('/', '.')}={value}: {exc.strerror}") from exc


def _drop_link(wire: Wire, step: steps.DropLink) -> None:
    drop_links(wire, (step,))


def _add_address(wire: Wire, step: steps.AddAddress) -> None:
    index = wire.index(step.address.link)
    if step.address.interface.version == 6:  # noqa: PLR2004 - the IP version
        _allow_ipv6(step.address.link)
    if step.address.ours:
        wire.add(step, address.add(index, step.address.interface, protocol=marks.PROTOCOL))
    else:  # the kernel may have given it in the meantime
        given = address.add(index, step.address.interface, protocol=0)
        wire.add(step, given, tolerated=_THERE)


def _allow_ipv6(link: str) -> None:
    """Containers often have IPv6 switched off: as Docker, we allow it where it has an address."""
    path = sysctl.ROOT / "ipv6/conf" / link / "disable_ipv6"
    if sysctl.read(path) == "1":
        sysctl.write(path, 0)


def _drop_address(wire: Wire, step: steps.DropAddress) -> None:
    index = wire.index(step.address.link)
    wire.add(step, address.delete(index, step.address.interface), tolerated=ABSENT)


def _add_route(wire: Wire, step: steps.AddRoute) -> None:
    """The kernel may have made its own in the meantime, and has it beside those of other links."""
    beside, tolerated = netlink.EXCL, NOTHING
    if not step.route.ours:
        beside, tolerated = netlink.APPEND, _THERE
    rival = netlink.REPLACE if step.replace else beside
    wire.add(step, route.add(_entry(wire, step.route), rival), tolerated=tolerated)


_THERE = frozenset({errno.EEXIST})


def _drop_route(wire: Wire, step: steps.DropRoute) -> None:
    wire.add(step, route.delete(_entry(wire, step.route)), tolerated=ABSENT)


def _entry(wire: Wire, of: world.Route) -> route.Entry:
    return route.Entry(
        destination=of.destination,
        index=wire.index(of.link),
        gateway=of.gateway,
        table=of.table,
        metric=of.metric,
        protocol=marks.PROTOCOL if of.ours else route.KERNEL,
        source=of.source,
    )


# Each function takes exactly the type it is listed under.
_DO: Mapping[type[steps.Step], Callable[[Wire, Any], None]] = {
    steps.AddLink: _add_link,
    steps.AddPair: _add_pair,
    steps.AddChild: _add_child,
    steps.SetLink: _set_link,
    steps.DropLink: _drop_link,
    steps.AddAddress: _add_address,
    steps.DropAddress: _drop_address,
    steps.AddRoute: _add_route,
    steps.DropRoute: _drop_route,
}
