import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from resolver.message import wire
from resolver.message.wire import Rcode
from tests.unit.resolver.questions import a, data, query


def test_A8_05_names_are_folded_for_ascii_letters_only() -> None:
    assert wire.parse(data("WeB")) == query("web")
    sent = bytearray(data("xxx"))
    sent[13:16] = b"\xc4Z\xe4"
    found = wire.parse(bytes(sent))
    assert isinstance(found, wire.Query)
    assert found.name == b"\3\xc4z\xe4\0"


@pytest.mark.parametrize("size", [0, 1, 11])
def test_what_has_no_header_is_dropped(size: int) -> None:
    assert wire.parse(data("web")[:size]) is None


def test_a_response_is_never_answered() -> None:
    sent = bytearray(data("web"))
    sent[2] |= 0x80
    assert wire.parse(bytes(sent)) is None


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
def test_A8_29_31_other_opcodes_are_not_implemented(opcode: int) -> None:
    sent = bytearray(data("web", "SOA"))
    sent[2] |= opcode << 3
    assert wire.parse(bytes(sent)) is Rcode.NOTIMP
    said = dns.message.from_wire(wire.refuse(bytes(sent), Rcode.NOTIMP))
    assert said.rcode() == dns.rcode.NOTIMP
    assert said.opcode() == opcode
    assert said.id == int.from_bytes(sent[:2], "big")
    assert said.flags & dns.flags.QR


@pytest.mark.parametrize("count", [0, 2, 65535])
def test_A8_28_only_one_question_is_taken(count: int) -> None:
    sent = data("web")
    assert wire.parse(sent[:4] + count.to_bytes(2, "big") + sent[6:]) is Rcode.FORMERR


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # A8_41: itself
        b"\x40" + b"a" * 64 + b"\0",  # A8_43: reserved bits
        b"\x80a\0",
        b"\x3fa",  # beyond the end
        b"\x01a" * 128 + b"\0",  # 257 bytes
        b"\x01a",  # no end
        b"",
    ],
)
def test_A8_41_43_bad_names_are_format_errors(name: bytes) -> None:
    sent = data("web")[:12] + name + b"\0\1\0\1"
    if name == b"":
        sent = sent[:12]
    assert wire.parse(sent) is Rcode.FORMERR
    assert wire.refuse(sent, Rcode.FORMERR)[4:6] in (b"\0\0", b"\0\1")


def test_the_longest_name_is_taken() -> None:
    name = b"\x3f" + b"a" * 63
    whole = name * 3 + b"\x3d" + b"b" * 61 + b"\0"
    assert len(whole) == 255
    assert isinstance(wire.parse(data("web")[:12] + whole + b"\0\1\0\1"), wire.Query)


def test_A8_34_35_the_limit_is_between_512_and_1232() -> None:
    limits = {size: query("web", payload=size, use_edns=0).limit for size in (0, 100, 900, 65535)}
    assert limits == {0: 512, 100: 512, 900: 900, 65535: 1232}
    assert query("web").limit == 512


def test_an_edns_version_is_refused_with_ours() -> None:
    sent = data("web", use_edns=1)
    assert wire.parse(sent) is Rcode.BADVERS
    said = dns.message.from_wire(wire.refuse(sent, Rcode.BADVERS))
    assert said.rcode() == dns.rcode.BADVERS
    assert said.edns == 0
    assert said.question


def opt(body: bytes = b"", owner: bytes = b"\0") -> bytes:
    return owner + b"\0\x29\x04\xd0\0\0\0\0" + len(body).to_bytes(2, "big") + body


def with_extra(count: int, extra: bytes) -> bytes:
    sent = data("web")
    return sent[:10] + count.to_bytes(2, "big") + sent[12:] + extra


@pytest.mark.parametrize(
    ("count", "extra"),
    [
        (2, opt() + opt()),
        (1, opt(owner=b"\1a\0")),
        (1, opt(bytes(513))),  # A8_36
        (1, opt()[:-1]),
        (1, opt(b"x" * 9)[:-1]),
        (3, opt() * 3),
        (1, b"\x40"),
        (1, b""),
        (2, opt()),
    ],
)
def test_A8_36_odd_additional_sections_are_format_errors(count: int, extra: bytes) -> None:
    assert wire.parse(with_extra(count, extra)) is Rcode.FORMERR


def test_A8_37_unknown_options_are_taken_and_not_echoed() -> None:
    sent = with_extra(1, opt(b"\xfd\xe9\0\4abcd"))
    found = wire.parse(sent)
    assert isinstance(found, wire.Query)
    said = dns.message.from_wire(wire.respond(sent, found, Rcode.NOERROR))
    assert said.edns == 0
    assert not said.options


def test_bytes_behind_the_message_are_ignored() -> None:
    assert wire.parse(data("web") + b"more") == query("web")


def test_A8_26_id_question_and_rd_are_the_askers() -> None:
    for rd in (True, False):
        sent = bytearray(data("WeB"))
        sent[2] = 1 if rd else 0
        sent[3] = 0x10
        said = wire.respond(bytes(sent), query("web"), Rcode.NOERROR, a("10.0.0.1")[wire.A])
        assert said[:2] == sent[:2]
        assert said[12:21] == sent[12:21]
        read = dns.message.from_wire(said)
        assert bool(read.flags & dns.flags.RD) is rd
        assert read.flags & dns.flags.RA
        assert read.flags & dns.flags.CD
        assert not read.flags & dns.flags.AD


def test_A8_38_no_opt_without_one_even_with_an_explanation() -> None:
    why = wire.Explain(22, "nobody answers")
    plain = wire.respond(data("web"), query("web"), Rcode.SERVFAIL, explain=[why])
    assert dns.message.from_wire(plain).edns == -1
    sent = data("web", use_edns=0, want_dnssec=True)
    found = wire.parse(sent)
    assert isinstance(found, wire.Query)
    said = dns.message.from_wire(wire.respond(sent, found, Rcode.SERVFAIL, explain=[why]))
    assert [each.to_text() for each in said.extended_errors()] == [
        "EDE 22 (No Reachable Authority): nobody answers"
    ]
    assert said.ednsflags & dns.flags.DO


def test_explanations_give_way_to_records_first_their_texts() -> None:
    sent = data("web", use_edns=0)
    found = wire.parse(sent)
    assert isinstance(found, wire.Query)
    why = [wire.Explain(6, "b" * 100), wire.Explain(3, "old")]
    records = a(*(f"10.0.0.{n}" for n in range(29)))[wire.A]
    for limit, texts in ((512, ["", "old"]), (507, [""]), (499, []), (9999, ["b" * 100, "old"])):
        wired = wire.respond(sent, found._replace(limit=limit), Rcode.NOERROR, records, explain=why)
        shown = dns.message.from_wire(wired)
        assert len(wired) <= limit
        assert not shown.flags & dns.flags.TC
        assert len(shown.answer[0]) == len(records)
        assert [each.text or "" for each in shown.extended_errors()] == texts


def test_an_authority_that_does_not_fit_is_left_out() -> None:
    records = a(*(f"10.0.0.{n}" for n in range(28)))[wire.A]
    zone = b"\0" + wire.record(wire.SOA, 5, bytes(60))
    said = wire.respond(data("web"), query("web"), Rcode.NOERROR, records, authority=zone)
    read = dns.message.from_wire(said, question_only=True)
    assert len(said) <= 512
    assert not read.flags & dns.flags.TC
    assert said[8:10] == b"\0\0"


@pytest.mark.parametrize("text", ["", "a..b", "a" * 64, ".".join(["a" * 63] * 4), ".a"])
def test_what_is_no_name_has_no_wire_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"label|longer"):
        wire.to_wire(text)


def test_names_are_shown_without_anything_that_could_confuse() -> None:
    assert wire.to_text(wire.to_wire("Web.Net-1_x.")) == "web.net-1_x."
    assert wire.to_text(b"\4a.\n\xff\0") == r"a\.\010\255."
    assert wire.to_text(b"\0") == "."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"no signature", "no signature"),
        ("Signatur ungültig: é 署名".encode(), "Signatur ungültig: é 署名"),
        (b"one\0\0", "one"),
        (b"a\nb\x1b[2Jc\0d\x7f", "a?b?[2Jc?d?"),
        (b"caf\xe9 \xff\xfe", "caf? ??"),
        ("\x9b31m\x85".encode(), "?31m?"),  # controls of one byte in latin-1
        ("a\u202eb\u200b\u2028c\ufeff".encode(), "a?b??c?"),  # what turns or hides text
        (b"\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80", "?" * 9),  # surrogates, too long, too large
        (b"x" * 200, "x" * 100),
        (b"x" * 99 + "é".encode(), "x" * 99),
        (b"x" * 98 + "é".encode(), "x" * 98 + "é"),
    ],
)
def test_the_words_of_servers_are_utf_8_without_what_cannot_be_printed(
    text: bytes, shown: str
) -> None:
    option = wire.EDE.to_bytes(2, "big") + (len(text) + 2).to_bytes(2, "big") + b"\0\6" + text
    assert list(wire.explanations(b"at" + option, 2, 2 + len(option))) == [wire.Explain(6, shown)]
