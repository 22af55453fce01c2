"""What /proc lists of IPVS, taken apart."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lb import table
from lb.kernel import ipvs_list
from lb.kernel.ipvs_codec import Key, Listed
from tests.contract.lb_kernel import WEB, WEB6, virtual
from tests.property.test_lb_plan import VIPS, virtual_services

# As Linux 6.1 prints it, of services that ipvsadm made.
LISTED = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A090909:0050 rr
  -> 0A4D0007:0050      Masq    3      0          0
TCP  [fd77:0000:0000:0000:0000:0000:0000:0009]:0050 rr
  -> [fd77:0000:0000:0000:0000:0000:0000:0001]:0050      Masq    3      0          0
FWM  5D000006 mh
  -> 0A4D0001:0000      Masq    3      1          0
  -> 0A4D0002:0000      Masq    0      0          12
FWM  5D000006 rr persistent 60 FFFFFFFF
  -> [fd77:0000:0000:0000:0000:0000:0000:0001]:0000      Masq    65535  0          0
FWM  5D000007 wlc ops
  -> 0A4D0001:0000      Route   3      0          0
FWM  5D000008 rr
  -> 0A4D0001:0051      Masq    1      0          0
  -> 0A4D0001:0000      Masq    3      0          0
  -> [fd77:0000:0000:0000:0000:0000:0000:0001]:1F90      Route   1      0          0
FWM  5D000009 rr
"""
ONE, TWO, SIX = ip_address("10.77.0.1"), ip_address("10.77.0.2"), ip_address("fd77::1")


MARKED = [Key(4, 0x5D000006), Key(6, 0x5D000006), Key(4, 0x5D000007)]


def test_each_mark_service_has_its_backends_by_ip_version() -> None:
    listing = ipvs_list.Listing(LISTED)
    assert [listing.of(key) for key in MARKED] == [
        Listed({ONE: 3, TWO: 0}),
        Listed({SIX: 65535}),
        Listed({ONE: -1}),
    ]
    assert listing.of(Key(6, 0x5D000007)) is None
    assert listing.of(Key(4, 0x5D000009)) is None


def test_a_backend_with_a_port_is_a_stray_beside_the_one_of_its_address() -> None:
    listing = ipvs_list.Listing(LISTED)
    assert listing.of(Key(4, 0x5D000008)) == Listed({ONE: 3}, {(ONE, 81)})
    assert listing.of(Key(6, 0x5D000008)) == Listed({}, {(SIX, 8080)})


def test_an_empty_list_has_none() -> None:
    for text in ("", LISTED[: LISTED.index("TCP")]):
        assert ipvs_list.Listing(text).of(MARKED[0]) is None


@given(st.integers(0, len(LISTED)), st.text(max_size=3))
def test_any_text_is_read_without_an_error(at: int, put: str) -> None:
    listing = ipvs_list.Listing(LISTED[:at] + put + LISTED[at:])
    for key in MARKED:
        listing.of(key)


@given(virtual_services(VIPS[0]) | virtual_services(WEB6))
def test_what_is_listed_of_backends_reads_as_these(service: table.VirtualService) -> None:
    lines = ipvs_list.lines(service)
    listing = ipvs_list.Listing(f"IP Virtual Server\nFWM  5D000006 rr\n{lines}FWM  5D000007 rr\n")
    told = Listed(service.weights) if service.weights else None
    assert listing.of(Key(service.vip.version, 0x5D000006)) == told
    assert listing.shows(0x5D000006, lines)
    assert listing.shows(0x5D000007, "")
    assert listing.shows(0x5D000007, lines) == (not service.backends)
    assert not listing.shows(0x5D000008, lines)


def test_lines_are_as_linux_prints_them() -> None:
    # net/netfilter/ipvs/ip_vs_ctl.c: "  -> %08X:%04X      %-7s %-6d %-10d %-10d\n"
    printed = "  -> {}:0000      Masq    {}      0          0         \n".format
    one, two = printed("0A4D0001", 3), printed("0A4D0002", 3)
    six = printed("[fd77:0000:0000:0000:0000:0000:0000:0001]", 3)
    assert ipvs_list.lines(virtual(WEB, 3, 3)) == two + one
    assert ipvs_list.lines(virtual(WEB, 3, 4)) == printed("0A4D0002", 4) + one
    assert ipvs_list.lines(virtual(WEB6, 3)) == six
    assert ipvs_list.lines(virtual(WEB)) == ""
