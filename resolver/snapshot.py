"""The tables and views of this node's sandboxes at one revision, pre-rendered for the workers.

In: the state. Out: what `resolver.protocol` carries; equal inputs give equal digests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from resolver import protocol
from sdd.model import ids


@dataclass(frozen=True, slots=True)
class Table:
    """The names of one network; `digest` changes exactly when `names` do."""

    digest: str
    names: protocol.Names


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tables by network id, views by sandbox id."""

    revision: ids.Revision
    tables: Mapping[str, Table] = field(default_factory=dict)
    views: Mapping[str, protocol.View] = field(default_factory=dict)
