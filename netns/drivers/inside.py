"""How every driver's link is set in a sandbox.

A container is no router's client, and answers ARP for the addresses of the asked link only: a
virtual address that lb puts into the sandbox must never be claimed on the network. Its addresses
are unique by allocation, so nobody waits for duplicates; neighbours hear of them at once.
"""

from netns.world import Setting
from sdd import shared
from sdd.model import endpoint, interface

_ALWAYS = frozenset({(Setting.ACCEPT_RA, 0), (Setting.ARP_IGNORE, 1), (Setting.ARP_NOTIFY, 1)})
_WITH_IPV6 = frozenset(
    {(Setting.ADDR_GEN_MODE, 0), (Setting.ACCEPT_DAD, 0), (Setting.NDISC_NOTIFY, 1)}
)
_WITHOUT_IPV6 = frozenset({(Setting.ADDR_GEN_MODE, 1)})
_IPV6 = 6


def settings(end: endpoint.Endpoint) -> frozenset[tuple[Setting, int]]:
    """The settings of the endpoint's link; without IPv6 address not even a link-local one.

    What the endpoint's options set is theirs alone.
    """
    has_ipv6 = any(each.version == _IPV6 for each in end.addresses)
    usual = _ALWAYS | (_WITH_IPV6 if has_ipv6 else _WITHOUT_IPV6)
    if not end.options:
        return usual
    chosen = {each.key.rpartition(".")[2] for each in interface.of(end.options).sysctls}
    return frozenset(each for each in usual if each[0].value not in chosen)


def sysctls(end: endpoint.Endpoint) -> frozenset[tuple[str, int]]:
    """What the endpoint's options set, by the files below /proc/sys."""
    wished = interface.of(end.options)
    return shared.same(frozenset((each.file(end.ifname), each.value) for each in wished.sysctls))
