"""A link of a node's host, as far as it matters to networks that are to stand on it.

In: nothing. Out: frozen values; netns.kernel reads them, the commands decide by them.
"""

from dataclasses import dataclass

from sdd.model.network import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLink:
    """`holder` is the kind of link that has it as a port (bridge, bond, team); empty: none.

    `addresses` are those that we did not give, `mac` is its own. `own_name` is said when it was
    asked for by another name that it has (ip-link(8), altname); empty: by its own.
    """

    mtu: int
    mac: str = ""
    is_ethernet: bool = True
    holder: str = ""
    addresses: tuple[IPAddress, ...] = ()
    own_name: str = ""
