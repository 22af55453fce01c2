"""Which node this is: the one that its data root has belonged to since its first start.

Sandboxes, members and ports are bound to the node's name in the store. A host that gets another
name (DHCP, cloud-init, `hostnamectl`) is still the same node; taken for another one it would see
its own namespaces as leftovers and remove them. So the name is written down once, and the host's is
only the first proposal. Data roots of older releases have no such file: what is bound in their
store tells.
"""

import socket
from pathlib import Path

import structlog

from sdd import errors, plain
from sdd.model import ids
from sdd.state import ClusterState

FILE = "node"
_MOST = 256  # octets read; more than any host's name has

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


def named(root: Path, given: str, state: ClusterState) -> ids.NodeId:
    """`settled` on this host; says so where the host has another name by now."""
    host = socket.gethostname()
    node = settled(root, given, host, state)
    if node not in (given, host):
        say.info("node.name_kept", node=node, host=host)
    return node


def settled(root: Path, given: str, hostname: str, state: ClusterState) -> ids.NodeId:
    """The node of the data root `root`; `given` is the setting "node-name", empty without one.

    Raises Conflict `SDD-NODE-NAME` when `given` is another name than that of the node which has
    something in `state`, Invalid `SDD-CONFIG-VALUE` when there is no name at all, Denied
    `SDD-NODE-FILE` when the file cannot be read.
    """
    written = _read(root / FILE)
    known = written or _bound(state)
    if given and known and given != known and (state.sandboxes or state.services):
        raise errors.Conflict(
            f'the data root {root} is of the node "{known}", not of "{given}"',
            hint=f'keep "node-name" {known} or leave it out (the host\'s own name may change), or'
            " choose another --data-root: what runs here would be nobody's under another name",
            code="SDD-NODE-NAME",
        )
    name = given or known or hostname
    if not name:
        raise errors.Invalid(
            "this host has no name", hint='give "node-name"', code="SDD-CONFIG-VALUE"
        )
    if name != written:
        _write(root / FILE, name)
    return ids.NodeId(name)


def _bound(state: ClusterState) -> str:
    """The only node that has sandboxes, if it is one; of a store of one host there is no other."""
    nodes = {box.node for box in state.sandboxes.values()}
    return nodes.pop() if len(nodes) == 1 else ""


def _read(path: Path) -> str:
    try:
        return plain.read(path, _MOST).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise errors.Denied(
            f"the name of this node cannot be read from {path}: {exc.strerror}",
            hint="let root read it, or remove what is there",
            code="SDD-NODE-FILE",
        ) from exc


def _write(path: Path, name: str) -> None:
    """Whole or not at all; without room the next start tries again, the store tells meanwhile."""
    try:
        plain.replace(path, f"{name}\n".encode(), lasting=True)
    except OSError as exc:
        say.warning("node.name_not_kept", node=name, file=str(path), why=exc.strerror)
