"""A word → an object: by name, then id, then unique id prefix (docker.md G15)."""

from ipaddress import ip_network

import pytest

from sdd import errors, state
from sdd.control import lookup
from sdd.model import ids, network


def net(name: str, identity: str) -> network.Network:
    return network.Network(
        id=ids.NetworkId(identity.ljust(64, "0")),
        name=name,
        pools=(network.Pool(subnet=ip_network("10.0.0.0/24")),),
    )


ALPHA, BETA, SLY = net("alpha", "abc1"), net("beta", "abd2"), net("abc1", "f00d")
NOW = state.EMPTY.apply(ids.Revision(1), map(state.Put, (ALPHA, BETA, SLY)))


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("alpha", ALPHA),
        (ALPHA.id, ALPHA),
        ("abd", BETA),
        ("abc1", SLY),  # a name goes before another's id prefix
        ("f", SLY),
    ],
)
def test_G15_name_then_id_then_prefix(ref: str, expected: network.Network) -> None:
    assert lookup.network(NOW, ref) is expected


def test_G15_an_ambiguous_prefix_lists_the_candidates() -> None:
    with pytest.raises(errors.Conflict) as caught:
        lookup.network(NOW, "ab")
    assert caught.value.code == "SDD-NET-AMBIGUOUS"
    assert "(alpha)" in caught.value.sentence
    assert "(beta)" in caught.value.sentence


@pytest.mark.parametrize("ref", ["", "nowhere", "Alpha"])
def test_nothing_fits(ref: str) -> None:
    with pytest.raises(errors.NotFound) as caught:
        lookup.network(NOW, ref)
    assert caught.value.code == "SDD-NET-NOTFOUND"
    assert repr(ref) in caught.value.sentence


def test_each_kind_has_its_code() -> None:
    with pytest.raises(errors.NotFound, match="SDD-SANDBOX-NOTFOUND"):
        lookup.sandbox(NOW, "alpha")
    with pytest.raises(errors.NotFound, match="SDD-SERVICE-NOTFOUND"):
        lookup.service(NOW, "alpha")
