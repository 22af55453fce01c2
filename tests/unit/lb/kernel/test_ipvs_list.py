"""What /proc lists of IPVS, taken apart."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lb.kernel import ipvs_list
from lb.kernel.ipvs_codec import Key, Listed

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


def test_each_mark_service_has_its_backends_by_ip_version() -> None:
    found = ipvs_list.backends(LISTED)
    assert {key: each for key, each in found.items() if key.mark != 0x5D000008} == {
        Key(4, 0x5D000006): Listed({ONE: 3, TWO: 0}),
        Key(6, 0x5D000006): Listed({SIX: 65535}),
        Key(4, 0x5D000007): Listed({ONE: -1}),
    }


def test_a_backend_with_a_port_is_a_stray_beside_the_one_of_its_address() -> None:
    found = ipvs_list.backends(LISTED)
    assert found[Key(4, 0x5D000008)] == Listed({ONE: 3}, {(ONE, 81)})
    assert found[Key(6, 0x5D000008)] == Listed({}, {(SIX, 8080)})


def test_an_empty_list_has_none() -> None:
    assert ipvs_list.backends("") == {}
    assert ipvs_list.backends(LISTED[: LISTED.index("TCP")]) == {}


@given(st.integers(0, len(LISTED)), st.text(max_size=3))
def test_any_text_is_read_without_an_error(at: int, put: str) -> None:
    ipvs_list.backends(LISTED[:at] + put + LISTED[at:])
