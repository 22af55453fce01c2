"""decode(encode(x)) == x for every object; other bytes give the one documented error."""

import contextlib
from ipaddress import ip_interface, ip_network
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd import errors
from sdd.model import (
    endpoint,
    health,
    ids,
    nameserver,
    network,
    record,
    request,
    sandbox,
    service,
    template,
)
from sdd.model.forwardzone import ForwardZone
from sdd.store import codec

ID = st.text("0123456789abcdef", min_size=64, max_size=64)
TEXT = st.text(max_size=12)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
LABELS = st.dictionaries(TEXT, TEXT, max_size=3).map(MappingProxyType)
ADDRESS = st.ip_addresses()
SERVER = ADDRESS | st.builds(
    nameserver.Nameserver,
    address=ADDRESS,
    transport=st.sampled_from(nameserver.Transport),
    port=st.integers(1, 65535),
    path=TEXT,
    name=TEXT,
)
TIME = st.floats(0, 1e12)
NETWORKS = st.builds(
    lambda address, size: ip_network((address, min(size, address.max_prefixlen)), strict=False),
    ADDRESS,
    st.integers(0, 128),
)
INTERFACES = st.builds(
    lambda address, size: ip_interface((address, min(size, address.max_prefixlen))),
    ADDRESS,
    st.integers(0, 128),
)
POOL = st.builds(
    network.Pool,
    subnet=NETWORKS,
    gateway=st.none() | ADDRESS,
    ip_range=st.none() | NETWORKS,
    aux=st.dictionaries(TEXT, ADDRESS, max_size=2).map(MappingProxyType),
)
ZONE = st.builds(ForwardZone, zone=TEXT, server=SERVER)
SPEC = st.builds(
    request.PoolSpec,
    subnet=st.none() | NETWORKS,
    gateway=st.none() | ADDRESS,
    ip_range=st.none() | NETWORKS,
    aux=st.dictionaries(TEXT, ADDRESS, max_size=2).map(MappingProxyType),
)
OBJECTS: st.SearchStrategy[codec.Object] = st.one_of(
    st.builds(
        network.Network,
        id=ID.map(ids.NetworkId),
        name=TEXT,
        driver=st.sampled_from(network.Driver),
        pools=st.lists(POOL, max_size=3).map(tuple),
        internal=st.booleans(),
        options=LABELS,
        labels=LABELS,
        dns=st.lists(SERVER, max_size=2).map(tuple),
        dns_search=TEXTS,
        dns_zones=st.lists(ZONE, max_size=2).map(tuple),
        created=TIME,
    ),
    st.builds(
        template.Template,
        id=ID.map(ids.NetworkId),
        name=TEXT,
        pools=st.lists(SPEC, max_size=3).map(tuple),
        ipv6=st.booleans(),
        options=LABELS,
        labels=LABELS,
        dns=st.lists(SERVER, max_size=2).map(tuple),
        dns_search=TEXTS,
        dns_zones=st.lists(ZONE, max_size=2).map(tuple),
        created=TIME,
    ),
    st.builds(
        sandbox.Sandbox,
        id=ID.map(ids.SandboxId),
        name=TEXT,
        node=TEXT.map(ids.NodeId),
        origin=st.sampled_from(sandbox.Origin),
        netns=TEXT,
        netns_inode=st.integers(0, 2**32),
        dns=st.builds(
            sandbox.DnsSettings,
            servers=st.lists(SERVER, max_size=2).map(tuple),
            search=TEXTS,
            options=TEXTS,
        ),
        extra_hosts=st.lists(
            st.builds(sandbox.ExtraHost, name=TEXT, address=ADDRESS), max_size=2
        ).map(tuple),
        resolv_conf=st.builds(
            sandbox.ResolvConf,
            writing=st.sampled_from(sandbox.Writing),
            path=TEXT,
            pid=st.integers(0, 2**22),
        ),
        labels=LABELS,
        created=TIME,
    ),
    st.builds(
        endpoint.Endpoint,
        id=ID.map(ids.EndpointId),
        network=ID.map(ids.NetworkId),
        sandbox=ID.map(ids.SandboxId),
        node=TEXT.map(ids.NodeId),
        addresses=st.lists(INTERFACES, max_size=2).map(tuple),
        mac=TEXT,
        ifname=TEXT,
        aliases=TEXTS,
        gw_priority=st.integers(-(2**31), 2**31),
        options=LABELS,
        created=TIME,
    ),
    st.builds(
        service.Service,
        id=ID.map(ids.ServiceId),
        name=TEXT,
        network=ID.map(ids.NetworkId),
        number=st.integers(1, 65535),
        vips=st.lists(ADDRESS, max_size=2).map(tuple),
        mode=st.sampled_from(service.EndpointMode),
        scheduler=st.sampled_from(service.Scheduler),
        health=st.builds(
            service.HealthCheck,
            kind=st.sampled_from(service.CheckKind),
            port=st.integers(0, 65535),
            interval_s=TIME,
        ),
        labels=LABELS,
        drain_s=TIME,
    ),
    st.builds(
        service.Member,
        service=ID.map(ids.ServiceId),
        endpoint=ID.map(ids.EndpointId),
        sandbox=ID.map(ids.SandboxId),
        node=TEXT.map(ids.NodeId),
        weight=st.integers(0, 65535),
        created=TIME,
    ),
    st.builds(
        health.Verdict,
        service=ID.map(ids.ServiceId),
        endpoint=ID.map(ids.EndpointId),
        status=st.sampled_from(health.Status),
        since=TIME,
        reason=TEXT,
    ),
    st.builds(
        record.Record,
        id=ID.map(ids.RecordId),
        network=ID.map(ids.NetworkId),
        name=TEXT,
        kind=st.sampled_from(record.RecordType),
        data=TEXT,
        created=TIME,
    ),
)


@given(OBJECTS)
def test_what_was_encoded_is_decoded(value: codec.Object) -> None:
    key = codec.key(value)
    assert codec.decode(key, codec.encode(value)) == value
    assert codec.kind_of(key) is type(value)


@given(st.binary(max_size=200) | st.just(b"{}") | st.just(b'{"v":1,"o":{}}'))
def test_other_bytes_are_the_one_error(data: bytes) -> None:
    for kind in codec.KINDS:
        with pytest.raises(errors.Unavailable) as caught:
            codec.decode(f"{kind}x/y", data)
        assert caught.value.code == codec.CODE


@given(OBJECTS, st.data())
def test_damaged_values_are_the_one_error_or_a_value(
    value: codec.Object, data: st.DataObject
) -> None:
    damaged = bytearray(codec.encode(value))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(errors.Unavailable):
        assert isinstance(codec.decode(codec.key(value), bytes(damaged)), type(value))
