"""State, service → who serves it in each of the ways that lead to its members. Pure."""

from collections.abc import Mapping

from sdd.model import service
from sdd.model.serving import Serving, Way
from sdd.state import ClusterState


def of(state: ClusterState, svc: service.Service) -> Mapping[Way, Serving]:
    """By the IP versions of its network and of its addresses on ingress."""
    net = state.networks.get(svc.network)  # gone, if `svc` is of an older state
    versions = {each.subnet.version for each in net.pools} if net else ()
    those = [Way(version) for version in sorted(versions)]
    those += [Way(vip.version, is_ingress=True) for vip in svc.ingress_vips]
    if not state.is_split(svc):
        return dict.fromkeys(those, state.serving(svc))
    return {way: state.serving(svc, way.version, is_ingress=way.is_ingress) for way in those}


def differing(state: ClusterState, svc: service.Service) -> Mapping[Way, Serving]:
    """The same where its mode is not that of all ways; nothing where it is."""
    found = of(state, svc)
    return found if len({each.mode for each in found.values()}) > 1 else {}
