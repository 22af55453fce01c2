"""Sandboxes: made with a namespace of their own, or adopted; with all their endpoints at once.

In: a request, what was observed of the namespace, the Ground. Out: plans. One transaction holds
the sandbox, its endpoints and its memberships, so there is no half-made sandbox to clean up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sdd import errors
from sdd.alloc import names
from sdd.control import (
    endpoints,
    ingress,
    keys,
    lookup,
    members,
    nameservers,
    ports,
    resolv_conf,
    sandbox_checks,
)
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import endpoint, ids, interface, network, request, sandbox, service
from sdd.state import ClusterState

KIND = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was observed of a namespace file; `inode` 0: there is no namespace.

    `host_inode` is the node's own namespace, which is nobody's sandbox, `held` are the inodes that
    the sandboxes' paths have now, as far as that can be told: those of named ones change with every
    boot, and the number of an adopted one that ended is soon another's. For one that we make,
    `homonym` is the path of somebody else's namespace of that name.
    """

    path: str = ""
    inode: int = 0
    inside: endpoints.Inside = field(default_factory=endpoints.Inside)
    host_inode: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    homonym: str = ""


def create(
    ground: Ground, asked: request.SandboxCreate, seen: Seen, busy: ports.Busy = ports.NOT_BUSY
) -> Plan[sandbox.Sandbox]:
    """A new sandbox. `busy` are the host's ports that other programs have.

    Refused: SDD-SANDBOX-NAME, -EXISTS, -NETNS, -ADOPTED, -HOST, -TWICE, SDD-NETNS-TAKEN, and what
    endpoints.py, members.py, resolv_conf.py and ports.py refuse.
    """
    _check_name(ground, asked.name)
    _check_words(asked)
    nameservers.check(asked.dns.servers, ground.transports)
    adopted = bool(asked.netns or asked.pid)
    if adopted:
        _check_namespace(ground, asked, seen)
    elif seen.homonym:
        raise sandbox.homonym(asked.name, seen.homonym)
    box = sandbox.Sandbox(
        id=ids.SandboxId(ground.new_id()),
        name=asked.name,
        node=ground.node,
        origin=sandbox.Origin.ADOPTED if adopted else sandbox.Origin.NAMED,
        netns=seen.path if adopted else str(ground.exec_root / "netns" / asked.name),
        netns_inode=seen.inode,
        hostname=asked.hostname,
        dns=asked.dns,
        extra_hosts=(*asked.extra_hosts, *_gateways(ground.now, asked.gateway_hosts)),
        resolv_conf=resolv_conf.wanted(ground.now, ground.node, asked),
        labels=asked.labels,
        created=ground.at,
    )
    draft = Draft(ground)
    draft.claim(keys.name(KIND, box.name), box.id)
    made = _attach_all(ground, draft, box, asked, seen)
    if asked.publish:
        book = ports.Book(ground, draft)
        nets = [ground.now.networks[each.network] for each in made]
        given = ports.publish(book, (KIND, box.id), asked.publish, nets, busy=busy)
        box = replace(box, ports=given)
    draft.create(box)
    joined = [lookup.service(ground.now, ref) for ref in asked.services]
    for svc in joined:
        members.enter(ground, draft, svc, made)
    ingress.joined(ground, draft, box, joined)
    return draft.plan(box, draft.made)


def withdraw(ground: Ground, ref: str) -> Plan[tuple[service.Member, ...]] | None:
    """Before it is removed: nothing new goes to it as a member. None when nothing does.

    Refused: SDD-SANDBOX-PREDEFINED.
    """
    box = lookup.sandbox(ground.now, ref)
    sandbox_checks.check_open(box)
    ends = ground.now.endpoints_by_sandbox.get(box.id, ())
    return members.withdraw(ground, endpoints.memberships(ground.now, ends), box)


def remove(ground: Ground, ref: str) -> Plan[sandbox.Sandbox]:
    """Nothing of the sandbox remains: endpoints, memberships and verdicts go with it.

    Refused: SDD-SANDBOX-PREDEFINED.
    """
    box = lookup.sandbox(ground.now, ref)
    sandbox_checks.check_open(box)
    draft = Draft(ground)
    draft.remove(box)
    draft.delete(keys.name(KIND, box.name))
    ports.Book(ground, draft).withdraw(box.id, box.ports)
    ends = ground.now.endpoints_by_sandbox.get(box.id, ())
    for end in ends:
        endpoints.detach(ground, draft, end)
    return draft.plan(box, {box.id, *(each.id for each in ends)})


def _attach_all(
    ground: Ground,
    draft: Draft,
    box: sandbox.Sandbox,
    asked: request.SandboxCreate,
    seen: Seen,
) -> tuple[endpoint.Endpoint, ...]:
    links = set(seen.inside.links)
    made: list[endpoint.Endpoint] = []
    attachments = _attachments(ground.now, asked)
    wishes = [each.driver_opts.get(interface.IFNAME, "") for each in attachments]
    for place, attachment in enumerate(attachments):
        others = filter(None, (*wishes[:place], *wishes[place + 1 :]))
        inside = replace(seen.inside, links=frozenset(links.union(others)))
        end = endpoints.attach(ground, draft, box, attachment, inside)
        if end.network in {each.network for each in made}:
            raise errors.Invalid(
                f"sandbox {box.name!r} names the network {errors.quoted(attachment.network)} twice",
                hint="give each network once, with all its aliases",
                code="SDD-SANDBOX-TWICE",
            )
        links.add(end.ifname)
        made.append(end)
    return tuple(made)


def _gateways(now: ClusterState, hosts: tuple[str, ...]) -> tuple[sandbox.ExtraHost, ...]:
    """Where the host can be reached, for each of `hosts` (docker.md R15)."""
    if not hosts:
        return ()
    pools = lookup.network(now, network.DEFAULT_NAME).pools
    gateways = [pool.gateway for pool in pools if pool.gateway is not None]
    if not gateways:
        raise errors.Invalid(
            f"host {errors.quoted(hosts[0])} cannot be the host's gateway: the network"
            f" {network.DEFAULT_NAME!r} has none",
            hint="give an address of the host instead of host-gateway",
            code="SDD-SANDBOX-GATEWAY",
        )
    return tuple(sandbox.ExtraHost(name=host, address=each) for host in hosts for each in gateways)


def _attachments(now: ClusterState, asked: request.SandboxCreate) -> tuple[request.Attachment, ...]:
    """What was asked, the networks of the services joined, else the default network."""
    joined = {lookup.network(now, each.network).id for each in asked.attachments}
    missing: dict[ids.NetworkId, request.Attachment] = {}
    for ref in asked.services:
        net = lookup.service(now, ref).network
        if net not in joined:
            missing[net] = request.Attachment(network=net)
    return (*asked.attachments, *missing.values()) or (
        request.Attachment(network=network.DEFAULT_NAME),
    )


# --- checks ----------------------------------------------------------------------------------


def _check_name(ground: Ground, name: str) -> None:
    names.checked(KIND, name)
    if name == ingress.SANDBOX or name.startswith(f"{ingress.SANDBOX}-"):
        raise errors.Forbidden(
            f"operation is not permitted on predefined {name} sandbox",
            hint="choose another name",
            code="SDD-SANDBOX-PREDEFINED",
        )
    if ground.claims.holds(keys.name(KIND, name)):
        box = lookup.sandbox(ground.now, name)
        raise errors.Conflict(
            f"the sandbox name {name} is already in use by sandbox {ids.short(box.id)}",
            hint=f"choose another name, or remove that one first: sdctl sandbox rm {name}",
            code="SDD-SANDBOX-EXISTS",
        )


def _check_words(asked: request.SandboxCreate) -> None:
    if asked.hostname:
        names.checked_host("hostname", asked.hostname)
    for domain in asked.dns.search:
        names.checked_search(domain)
    for option in asked.dns.options:
        names.checked_option(option)
    for extra in (*(each.name for each in asked.extra_hosts), *asked.gateway_hosts):
        names.checked_host("extra host", extra)
    if asked.netns and asked.pid:
        raise errors.Invalid(
            f"sandbox {asked.name!r} cannot have both a netns path and a pid",
            hint="give one of --netns and --pid",
            code="SDD-SANDBOX-NETNS",
        )


def _check_namespace(ground: Ground, asked: request.SandboxCreate, seen: Seen) -> None:
    if not seen.inode:
        raise errors.Invalid(
            f"process {asked.pid} does not exist or its network namespace cannot be opened"
            if asked.pid
            else f"{asked.netns} is no network namespace",
            hint="a namespace is a file such as /run/netns/NAME or /proc/PID/ns/net",
            code="SDD-SANDBOX-NETNS",
        )
    if seen.inode == seen.host_inode:
        raise errors.Invalid(
            f"{seen.path} is the host's own network namespace and cannot be a sandbox",
            hint="start the process in a network namespace of its own",
            code="SDD-SANDBOX-HOST",
        )
    for box in ground.now.sandboxes.values():
        is_there = seen.held.get(box.netns, box.netns_inode) == seen.inode
        if box.node == ground.node and is_there and box.netns_inode in (0, seen.inode):
            raise errors.Conflict(
                f"the namespace {seen.path} is already sandbox {box.name}",
                hint=f"connect that one to more networks: sdctl network connect NET {box.name}",
                code="SDD-SANDBOX-ADOPTED",
            )
