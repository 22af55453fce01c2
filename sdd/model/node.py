"""A node: one host that runs the daemon."""

from dataclasses import dataclass

from sdd.model import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`id` is the node's unique name (`node-name`, by default the host's)."""

    id: ids.NodeId
    labels: tuple[str, ...] = ()
