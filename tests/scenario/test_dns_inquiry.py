"""sdd asks a real worker about itself, through the link that it uses."""

import socket
import time
from collections.abc import AsyncIterator, Iterator

import dns.flags
import dns.message
import pytest

from resolver import protocol
from resolver.control import link
from resolver.message import wire
from tests.scenario.test_dns_forwarding import Scripted, good, mute
from tests.scenario.worker import HANGS_S, Worker, address, ask

NAMES: protocol.Names = {
    wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")},
    **{
        wire.to_wire(name): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire(target))]}
        for name, target in (
            *(("one", "two"), ("two", "web")),
            *(("into", "round"), ("round", "about"), ("about", "round")),
            *((f"n{at}", f"n{at + 1}") for at in range(12)),
        )
    },
    wire.to_wire("crowd"): {wire.TXT: [wire.record(wire.TXT, 5, b"\1x") for _ in range(5000)]},
}
WWW = wire.to_wire("www.example.org")


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    server = Scripted(good)
    yield server
    server.close()


@pytest.fixture
def ports(worker: Worker, upstream: Scripted) -> tuple[int, int]:
    session = worker.session()
    ports = session.serve(names=NAMES, upstreams=[upstream.server()])
    session.apply()
    return ports


@pytest.fixture
async def sdd(worker: Worker, ports: tuple[int, int], patient: None) -> AsyncIterator[link.Link]:
    del ports, patient  # served before sdd connects
    connected = await link.Link.open(link.connect(str(worker.path)))
    yield connected
    connected.close()


async def steps(sdd: link.Link, name: bytes, kind: int = wire.A) -> list[tuple[str, str]]:
    message = protocol.Explain(sandbox="s", name=name, kind=kind)
    told = await sdd.inquire(message, protocol.Explained)
    return [(each.stage, each.text) for each in told.steps]


async def test_an_owned_name_is_explained_by_its_network(sdd: link.Link) -> None:
    assert await steps(sdd, wire.to_wire("web")) == [
        ("network net", "has it, with 1 record of this type")
    ]
    assert await steps(sdd, wire.to_wire("web"), wire.AAAA) == [
        ("network net", "has it, with 0 records of this type")
    ]


async def test_a_set_that_no_answer_takes_says_so_over_tcp_too(
    sdd: link.Link, ports: tuple[int, int]
) -> None:
    reply = ask(ports, "crowd", "TXT", tcp=True)
    assert reply.flags & dns.flags.TC
    assert reply.answer
    ((_, text),) = await steps(sdd, wire.to_wire("crowd"), wire.TXT)
    assert text == "has it, with more records of this type than an answer takes, over TCP too (TC)"


async def test_aliases_of_ours_are_followed_step_by_step(sdd: link.Link) -> None:
    assert await steps(sdd, wire.to_wire("one")) == [
        ("network net", "has it, as an alias of two."),
        ("network net", "two. is there as an alias of web."),
        ("network net", "web. is there with 1 record of this type"),
    ]
    assert len(await steps(sdd, wire.to_wire("one"), wire.CNAME)) == 1


async def test_it_is_told_where_a_circle_of_aliases_closes(sdd: link.Link) -> None:
    found = await steps(sdd, wire.to_wire("into"))
    assert found[0] == ("network net", "has it, as an alias of round.")
    assert found[-1] == ("alias", "leads in a circle: round. -> about. -> round.")
    row = await steps(sdd, wire.to_wire("n0"))
    assert row[-1] == ("alias", "more than 8 in a row: not followed any more")


async def test_no_network_is_named_for_what_is_refused_whoever_has_it(sdd: link.Link) -> None:
    axfr = 252
    ((stage, text),) = await steps(sdd, wire.to_wire("web"), axfr)
    assert (stage, text.split(":")[0]) == ("policy", "REFUSED")


async def test_special_names_and_foreign_sandboxes_are_explained(sdd: link.Link) -> None:
    assert (await steps(sdd, wire.to_wire("a.localhost")))[-1] == ("local_special", "NOERROR")
    found = await sdd.inquire(protocol.Explain("nobody", b"\0", 1), protocol.Explained)
    assert found.steps == [protocol.Step("sandbox", "is not served here")]


async def test_a_foreign_name_is_explained_before_and_after_it_was_asked(
    sdd: link.Link, ports: tuple[int, int], upstream: Scripted
) -> None:
    before = await steps(sdd, WWW)
    assert [stage for stage, _ in before] == ["network net", "zones", "upstream"]
    assert before[-1][1] == f"{upstream.server().label} from the host, new"
    ask(ports, "www.example.org")
    after = dict(await steps(sdd, WWW))
    assert after["cache"].startswith("NOERROR, ")
    assert after["tried"].startswith(f"{upstream.server().label} over udp: NOERROR in ")
    assert len(upstream.heard) == 1


async def test_the_cache_is_listed_in_pages_and_flushed(
    sdd: link.Link, ports: tuple[int, int], upstream: Scripted
) -> None:
    for number in range(70):
        ask(ports, f"n{number}.example.org")
    page = await sdd.inquire(protocol.ListCache(0), protocol.CacheListed)
    assert page.others
    rest = await sdd.inquire(protocol.ListCache(len(page.rows)), protocol.CacheListed)
    assert not rest.others
    rows = [*page.rows, *rest.rows]
    assert len({row.name for row in rows}) == 70
    assert {(row.kind, row.rcode, row.records, row.sandbox) for row in rows} == {(1, 0, 1, "")}
    assert all(0 < row.left_s <= 300 and row.servers == [upstream.server().label] for row in rows)
    one = protocol.Flush(wire.to_wire("n3.example.org"))
    assert (await sdd.inquire(one, protocol.Flushed)).count == 1
    before = len(upstream.heard)
    ask(ports, "n3.example.org")
    ask(ports, "n4.example.org")
    assert len(upstream.heard) == before + 1
    assert (await sdd.inquire(protocol.Flush(b"\0"), protocol.Flushed)).count == 70
    ask(ports, "n4.example.org")
    assert len(upstream.heard) == before + 2


@pytest.mark.usefixtures("patient")
async def test_more_upstreams_than_a_page_has_are_all_listed(
    worker: Worker,
) -> None:
    session = worker.session()
    servers = [
        protocol.Upstream(f"127.0.{number}.1", 9, inside=False, name="n" * 200)
        for number in range(300)
    ]
    asked = [session.serve(f"s{at}", upstreams=servers[at : at + 3]) for at in range(0, 300, 3)]
    assert session.apply(2) == {}
    query = dns.message.make_query("www.example.org", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for udp, _ in asked:
            client.sendto(query, ("127.0.0.1", udp))
        client.settimeout(HANGS_S)
        for _ in asked:
            client.recv(4096)
    session.link.close()
    connected = await link.Link.open(link.connect(str(worker.path)))
    listed: list[protocol.UpstreamRow] = []
    others = True
    while others:
        page = await connected.inquire(
            protocol.ListUpstreams(len(listed)), protocol.UpstreamsListed
        )
        listed += page.rows
        others = page.others
    assert [each.address for each in listed] == [each.label for each in servers]
    connected.close()


async def test_a_server_that_was_never_asked_is_listed_with_its_zones(worker: Worker) -> None:
    session = worker.session()
    for at in range(2):
        session.serve(f"s{at}")
        one, two = (protocol.Upstream(f"127.0.0.{n}", 9, inside=True) for n in (1, 2))
        host = protocol.Upstream("127.0.0.3", 9, inside=False)
        zones = {wire.to_wire(each): [one, two] for each in ("corp.test", "lab.test")}
        session.say(protocol.View(f"s{at}", "v", [], [], {}, [two if at else host], routes=zones))
    assert session.apply() == {}
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    both = ["corp.test.", "lab.test."]
    assert [
        (each.address, each.sandbox, [wire.to_text(zone) for zone in each.zones])
        for each in listed.rows
    ] == [
        ("udp://127.0.0.3:9", "", ["."]),
        ("udp://127.0.0.1:9", "s0", both),
        ("udp://127.0.0.2:9", "s0", both),
        ("udp://127.0.0.2:9", "s1", [".", *both]),
        ("udp://127.0.0.1:9", "s1", both),
    ]
    assert {each.state for each in listed.rows} == {"new"}


async def test_upstreams_tell_how_they_did(
    sdd: link.Link, ports: tuple[int, int], upstream: Scripted
) -> None:
    ask(ports, "www.example.org")
    (row,) = (await sdd.inquire(protocol.ListUpstreams(0), protocol.UpstreamsListed)).rows
    assert (row.address, row.port, row.sandbox) == (upstream.server().label, upstream.port, "")
    assert (row.state, row.silent, row.edns, row.keeps_case) == ("up", 0, True, True)
    assert row.rtt_ms > 0
    assert row.error == ""
    upstream.script = mute
    ask(ports, "other.example.org")
    deadline = time.monotonic() + HANGS_S
    while row.state != "down":  # when the last question of ours has had its time
        assert time.monotonic() < deadline
        (row,) = (await sdd.inquire(protocol.ListUpstreams(0), protocol.UpstreamsListed)).rows
    assert row.silent >= 2
    assert row.error == "timeout"
    assert 0 <= row.error_s < 60
    assert row.zones == [b"\0"]
