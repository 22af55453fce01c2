"""Bytes as the kernel's header file says, and back; services of others are passed over."""

import struct
from ipaddress import ip_address

import pytest

from lb.kernel import ipvs_codec
from lb.kernel.ipvs_codec import Key, Listed, Settings, Stats
from sdd.linux import netlink
from sdd.model.network import IPAddress

FAMILY = 33
V4, V6 = Key(4, 0x5D000002), Key(6, 0x5D000003)


def opened(message: netlink.Message) -> tuple[int, dict[int, bytes]]:
    """The command and the attributes of a request."""
    return message.body[0], netlink.attributes(message.body[4:])


def replied(*attributes: bytes) -> netlink.Reply:
    return netlink.Reply(FAMILY, b"\1\1\0\0" + b"".join(attributes))


def test_a_mark_service_has_family_netmask_and_all_settings() -> None:
    message = ipvs_codec.service_request(
        FAMILY, ipvs_codec.NEW_SERVICE, V4, Settings(scheduler="mh", flags=0x19, timeout_s=60)
    )
    command, attributes = opened(message)
    service = netlink.attributes(attributes[1])
    assert (message.kind, command) == (FAMILY, 1)
    assert netlink.to_int(service[1]) == 2
    assert netlink.to_int(service[5]) == 0x5D000002
    assert netlink.to_text(service[6]) == "mh"
    assert struct.unpack("=II", service[7]) == (0x19, 0xFFFFFFFF)
    assert netlink.to_int(service[8]) == 60
    assert service[9] == b"\xff\xff\xff\xff"


def test_the_netmask_of_ipv6_is_a_prefix_length() -> None:
    message = ipvs_codec.service_request(
        FAMILY, ipvs_codec.SET_SERVICE, V6, Settings(scheduler="rr")
    )
    service = netlink.attributes(opened(message)[1][1])
    assert (netlink.to_int(service[1]), netlink.to_int(service[9])) == (10, 128)


def test_a_backend_is_masqueraded_keeps_the_port_and_fills_the_address() -> None:
    address = ip_address("10.0.0.1")
    message = ipvs_codec.backend_request(FAMILY, ipvs_codec.NEW_BACKEND, V4, address, 7)
    command, attributes = opened(message)
    backend = netlink.attributes(attributes[2])
    assert command == 5
    assert backend[1] == b"\x0a\0\0\1" + bytes(12)
    assert (backend[2], netlink.to_int(backend[3]), netlink.to_int(backend[4])) == (b"\0\0", 0, 7)
    assert netlink.to_int(backend[11]) == 2


def test_listed_services_are_keys_and_settings_without_the_kernels_own_flag() -> None:
    def service(*more: bytes) -> netlink.Reply:
        common = (netlink.u16(1, 2), netlink.text(6, "wrr"), netlink.u32(8, 300))
        return replied(netlink.nested(1, *common, *more))

    ours = service(netlink.u32(5, 0x5D000002), netlink.attribute(7, struct.pack("=II", 3, 0)))
    plain = service(netlink.u32(5, 0x5D000004), netlink.attribute(7, struct.pack("=II", 2, 0)))
    by_address = service(netlink.attribute(3, bytes(16)), netlink.attribute(7, bytes(8)))
    assert dict(ipvs_codec.to_services((ours, by_address, plain))) == {
        V4: Settings(scheduler="wrr", flags=1, timeout_s=300),
        Key(4, 0x5D000004): Settings(scheduler="wrr"),
    }


def listed_service(
    key: Key, how: Settings, *, engine: str = "", heads: int = 0, connections: int = 0
) -> netlink.Reply:
    """As net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_fill_service, writes it."""
    full = b"\xff" * 4 if key.version == 4 else struct.pack("=I", 128)
    parts = (
        netlink.u16(1, 2 if key.version == 4 else 10),
        netlink.u32(5, key.mark),
        netlink.text(6, how.scheduler),
        *((netlink.text(12, engine),) if engine else ()),
        netlink.attribute(7, struct.pack("=II", how.flags | 2, 0xFFFFFFFF)),
        netlink.u32(8, how.timeout_s),
        netlink.attribute(9, how.netmask or full),
        netlink.attribute(10 | heads, netlink.u32(1, connections)),
    )
    return replied(netlink.attribute(1 | heads, b"".join(parts)))


@pytest.mark.parametrize("heads", [0, 0x8000])
@pytest.mark.parametrize("engine", ["", "sip", "longer"])
def test_thousands_that_are_told_alike_are_taken_apart_once_and_others_are_not_mistaken(
    engine: str, heads: int
) -> None:
    kinds = (
        *(Settings(scheduler=each) for each in ("rr", "wlc", "mh", "lblc", "lblcr")),
        Settings(scheduler="mh", flags=0x18),
        Settings(scheduler="mh", flags=0x19, timeout_s=60),
        Settings(scheduler="mh", flags=0x19, timeout_s=61),
        Settings(scheduler="rr", netmask=b"\xff\xff\xff\0"),
    )
    want = {
        Key(version, 0x5D000002 + 10 * turn + at): how
        for turn in range(3)
        for version in (4, 6)
        for at, how in enumerate(kinds)
        if version == 4 or not how.netmask
    }
    replies = [
        listed_service(key, how, engine=engine, heads=heads, connections=at)
        for at, (key, how) in enumerate(want.items())
    ]
    assert dict(ipvs_codec.to_services(replies)) == want


def test_listed_backends_have_their_own_family_and_wide_counters() -> None:
    counters = netlink.nested(12, *(netlink.u64(kind, kind << 40) for kind in range(1, 6)))
    numbers = (netlink.u32(3, 2), netlink.u32(4, 5), netlink.u32(7, 1), netlink.u32(8, 9))
    address = netlink.attribute(1, ip_address("fd00::1").packed)
    reply = replied(netlink.nested(2, address, *numbers, netlink.u16(11, 10), counters))
    (backend,) = ipvs_codec.to_backends((reply,), 4)
    assert backend == ipvs_codec.Backend(
        address=ip_address("fd00::1"),
        weight=5,
        forward=2,
        active=1,
        inactive=9,
        stats=Stats(
            connections=1 << 40,
            in_packets=2 << 40,
            out_packets=3 << 40,
            in_bytes=4 << 40,
            out_bytes=5 << 40,
        ),
    )


def listed(
    address: IPAddress,
    *,
    port: int = 0,
    method: int = 0,
    thresholds: tuple[int, int] = (0, 0),
    tunnels: bool = True,
) -> netlink.Reply:
    """A backend of weight 3 as Linux lists it: since 5.4 with attributes of tunnels in between."""
    between = (netlink.attribute(13, b"\0"), netlink.u16(14, 0), netlink.u16(15, 0))
    return replied(
        netlink.nested(
            2,
            netlink.attribute(1, address.packed.ljust(16, b"\0")),
            netlink.attribute(2, port.to_bytes(2, "big")),
            netlink.u32(3, method),
            netlink.u32(4, 3),
            *(between if tunnels else ()),
            *(netlink.u32(kind, value) for kind, value in zip((5, 6), thresholds, strict=True)),
            *(netlink.u32(kind, 1) for kind in (7, 8, 9)),
            netlink.u16(11, 2 if address.version == 4 else 10),
        )
    )


ONE, TWO, SIX = ip_address("10.77.0.1"), ip_address("10.77.0.2"), ip_address("fd77::1")


@pytest.mark.parametrize("tunnels", [True, False])
@pytest.mark.parametrize("address", [ONE, SIX])
def test_what_hands_gave_a_backend_counts_as_a_wrong_weight(
    address: IPAddress, tunnels: bool
) -> None:
    def weight(method: int = 0, thresholds: tuple[int, int] = (0, 0)) -> int:
        reply = listed(address, method=method, thresholds=thresholds, tunnels=tunnels)
        return ipvs_codec.to_listed((reply,), address.version).weights[address]

    assert weight() == 3
    assert weight(method=ipvs_codec.ROUTE) == -1
    assert weight(thresholds=(5, 2)) == weight(thresholds=(5, 0)) == -1


def test_only_what_is_not_as_we_set_it_is_decoded_at_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(ipvs_codec, "to_backends")
    assert ipvs_codec.to_listed((listed(ONE), listed(TWO)), 4) == Listed({ONE: 3, TWO: 3})


@pytest.mark.parametrize("turn", [1, -1])
def test_a_backend_with_a_port_is_a_stray_beside_the_one_of_its_address(turn: int) -> None:
    replies = (listed(ONE), listed(ONE, port=81), listed(TWO, port=81, method=3))[::turn]
    assert ipvs_codec.to_listed(replies, 4) == Listed({ONE: 3}, {(ONE, 81), (TWO, 81)})


@pytest.mark.parametrize("address", [ONE, SIX])
def test_a_stray_is_deleted_with_its_port(address: IPAddress) -> None:
    key = Key(address.version, 0x5D000002)
    message = ipvs_codec.backend_request(FAMILY, ipvs_codec.DELETE_BACKEND, key, address, port=8080)
    command, attributes = opened(message)
    assert command == ipvs_codec.DELETE_BACKEND
    backend = netlink.attributes(attributes[2])
    assert (backend[1], backend[2]) == (address.packed.ljust(16, b"\0"), b"\x1f\x90")


@pytest.mark.parametrize(
    ("key", "plain", "wider"),
    [
        (V4, b"\xff\xff\xff\xff", b"\xff\xff\xff\0"),
        (V6, struct.pack("=I", 128), struct.pack("=I", 64)),
    ],
)
def test_a_netmask_of_persistence_that_takes_many_clients_for_one_is_told(
    key: Key, plain: bytes, wider: bytes
) -> None:
    def told(netmask: bytes) -> Settings:
        settings = Settings(scheduler="rr", netmask=netmask)
        message = ipvs_codec.service_request(FAMILY, ipvs_codec.NEW_SERVICE, key, settings)
        ((_, found),) = ipvs_codec.to_services((netlink.Reply(FAMILY, message.body),))
        return found

    assert told(plain) == told(b"") == Settings(scheduler="rr")
    assert told(wider) == Settings(scheduler="rr", netmask=wider)


def test_older_kernels_tell_no_family_and_narrow_counters() -> None:
    counters = netlink.nested(10, *(netlink.u32(kind, kind) for kind in range(1, 4)))
    address = netlink.attribute(1, ip_address("10.0.0.9").packed + bytes(12))
    reply = replied(netlink.nested(2, address, netlink.u32(3, 0), netlink.u32(4, 1), counters))
    (backend,) = ipvs_codec.to_backends((reply,), 4)
    assert str(backend.address) == "10.0.0.9"
    assert (backend.stats.connections, backend.stats.out_packets) == (1, 3)


def test_timeouts_go_out_and_come_back() -> None:
    timeouts = ipvs_codec.Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=30)
    message = ipvs_codec.timeouts_request(FAMILY, timeouts)
    echoed = netlink.Result(replies=(netlink.Reply(FAMILY, message.body),))
    assert ipvs_codec.to_timeouts(echoed) == timeouts
    assert ipvs_codec.to_timeouts(netlink.Result()) == ipvs_codec.Timeouts()


def test_the_family_and_the_version_or_their_absence() -> None:
    command, attributes = opened(ipvs_codec.family_request())
    assert (command, netlink.to_text(attributes[2])) == (3, "IPVS")
    found = netlink.Result(replies=(replied(netlink.u16(1, 33)),))
    assert ipvs_codec.to_family(found) == 33
    assert ipvs_codec.to_family(netlink.Result(error=2)) is None
    told = netlink.Result(replies=(replied(netlink.u32(1, 0x010201)),))
    assert ipvs_codec.to_version(told) == "1.2.1"
    assert ipvs_codec.to_version(netlink.Result()) == ""


def test_a_listed_dump_asks_for_all_services() -> None:
    assert ipvs_codec.services_request() == b"\x04\x01\0\0"
    assert opened(ipvs_codec.get_timeouts_request(FAMILY)) == (13, {})
    assert opened(ipvs_codec.info_request(FAMILY)) == (15, {})
