"""Marks in front of IPVS as nft text."""

from ipaddress import ip_address

from lb.kernel.ipvs_front import Front, changes, frame_of, rebuild

WEB, WEB6 = ip_address("10.77.0.200"), ip_address("fd77::200")
FRONT = Front(vip=WEB, number=3, is_up=True)


def test_streams_and_datagrams_have_marks_of_their_own() -> None:
    assert (FRONT.stream, FRONT.datagram) == (0x5D000006, 0x5D000007)
    assert "10.77.0.200 . 6 : 0x5d000006" in changes({}, {WEB: FRONT}, (WEB,))
    assert "10.77.0.200 . 17 : 0x5d000007" in changes({}, {WEB: FRONT}, (WEB,))


def test_only_what_is_up_answers_pings_and_leads_to_ipvs() -> None:
    down = Front(vip=WEB6, number=3, is_up=False)
    text = changes({}, {WEB6: down}, (WEB6,))
    assert "own6 { fd77::200 }" in text
    assert "number6 { fd77::200 : 0x3 }" in text
    assert "up6" not in text
    assert "mark6" not in text


def test_what_agrees_is_no_text_and_what_goes_is_deleted() -> None:
    assert changes({WEB: FRONT}, {WEB: FRONT}, (WEB,)) == ""
    gone = changes({WEB: FRONT}, {}, (WEB,))
    assert gone.count("delete element") == 4
    assert "add element" not in gone


def test_a_rebuild_removes_makes_the_frame_and_fills_it() -> None:
    text = rebuild({WEB: FRONT})
    assert text.index("delete table") < text.index(frame_of("")) < text.index("add element")
