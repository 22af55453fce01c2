"""UDP towards upstreams, over real sockets of loopback."""

import asyncio
import contextlib
import select
import socket
from collections.abc import Iterator

import pytest

from resolver import protocol
from resolver.counters import Suspect
from resolver.upstream import forward, lending, sockets
from resolver.upstream.forward import Sent, Trust
from resolver.upstream.lines import SHARE, USES, Heard, Lines
from resolver.upstream.sockets import NoReply, Why
from tests.support import LoopClock, eventually
from tests.unit.resolver.questions import data, query

PATIENCE_S = 60.0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        link.setblocking(False)
        yield link


@pytest.fixture
def suspects() -> list[Suspect]:
    return []


@pytest.fixture
async def lines(suspects: list[Suspect]) -> Lines:
    return Lines(suspects.append)


def sent(number: int, name: str = "www.example.org") -> Sent:
    return forward.question(data(name), query(name), number, 0, mark=b"")


def upstream(server: socket.socket) -> protocol.Upstream:
    return protocol.Upstream("127.0.0.1", server.getsockname()[1], inside=False)


async def hear(lines: Lines, server: socket.socket, asked: Sent, wait_s: float = 60.0) -> Heard:
    deadline = asyncio.get_running_loop().time() + wait_s
    return await lines.hear((sockets.HOST4, upstream(server)), asked, deadline)


async def read(server: socket.socket) -> tuple[bytes, tuple[str, int]]:
    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.get_running_loop().sock_recvfrom(server, 4096)


def reply(asked: bytes) -> bytes:
    return asked[:2] + b"\x81\x80" + asked[4:]


async def test_A8_51_questions_one_after_the_other_have_a_port_each(
    lines: Lines, server: socket.socket
) -> None:
    ports = set()
    for number in range(20):
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(hear(lines, server, sent(number)))
            asked, peer = await read(server)
            server.sendto(reply(asked), peer)
        ports.add(peer[1])
        found = heard.result()
        assert not isinstance(found, Why)
        assert found[1] is Trust.GOOD
    assert len(ports) > 15


async def test_many_at_once_share_ports_and_each_gets_its_own(
    lines: Lines, server: socket.socket
) -> None:
    names = [f"n{number}.example.org" for number in range(3 * USES)]
    async with asyncio.TaskGroup() as tasks:
        heard = [
            tasks.create_task(hear(lines, server, sent(number, name)))
            for number, name in enumerate(names)
        ]
        came = [await read(server) for _ in names]
        for asked, peer in reversed(came):
            server.sendto(reply(asked), peer)
    assert len({peer[1] for _, peer in came}) == 3
    for number, task in enumerate(heard):
        found = task.result()
        assert not isinstance(found, Why)
        assert found[0][:2] == number.to_bytes(2, "big")


async def test_A8_51_a_neighbours_id_or_an_unknown_one_is_not_believed(
    lines: Lines, server: socket.socket, suspects: list[Suspect]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        mine = tasks.create_task(hear(lines, server, sent(1)))
        other = tasks.create_task(hear(lines, server, sent(2, "other.example.org")))
        (first, peer), (second, _) = await read(server), await read(server)
        server.sendto(reply(second[:2] + first[2:]), peer)
        server.sendto(reply(b"\0\7" + first[2:]), peer)
        server.sendto(reply(first), peer)
        server.sendto(reply(second), peer)
    assert not isinstance(mine.result(), Why)
    assert not isinstance(other.result(), Why)
    assert suspects == [Suspect.QUESTION, Suspect.ID]


async def test_who_waits_in_vain_is_told_so_and_a_late_reply_is_no_suspect(
    lines: Lines, server: socket.socket, suspects: list[Suspect]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        patient = tasks.create_task(hear(lines, server, sent(1, "other.example.org")))
        hasty = tasks.create_task(hear(lines, server, sent(2), wait_s=0.1))
        came = {asked[:2]: (asked, peer) for asked, peer in [await read(server) for _ in range(2)]}
        assert await hasty is Why.TIMEOUT
        for number in (2, 1):
            asked, peer = came[number.to_bytes(2, "big")]
            server.sendto(reply(asked), peer)
    assert not isinstance(patient.result(), Why)
    assert suspects == []


async def test_nobody_there_is_told_to_all_on_the_line(lines: Lines, server: socket.socket) -> None:
    gone = upstream(server)
    server.close()
    deadline = asyncio.get_running_loop().time() + PATIENCE_S

    async def heard(number: int) -> Why:
        try:
            found = await lines.hear((sockets.HOST4, gone), sent(number), deadline)
        except NoReply as exc:
            return exc.why
        assert isinstance(found, Why)
        return found

    async with asyncio.TaskGroup() as tasks:
        all_of_them = [tasks.create_task(heard(number)) for number in range(5)]
    assert {each.result() for each in all_of_them} == {Why.REFUSED}


async def test_lent_sockets_are_shared_when_there_are_no_more(
    lines: Lines, server: socket.socket
) -> None:
    lent = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    for each in lent:
        each.setblocking(False)
    inside = lending.Inside(lent, [])
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    async with asyncio.TaskGroup() as tasks:
        heard = [
            tasks.create_task(
                lines.hear((inside, upstream(server)), sent(number, f"n{number}.org"), deadline)
            )
            for number in range(100)
        ]
        for _ in heard:
            asked, peer = await read(server)
            server.sendto(reply(asked), peer)
    assert not any(isinstance(each.result(), Why) for each in heard)
    inside.close()
    assert all(each.fileno() == -1 for each in lent)


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
async def test_silent_servers_leave_a_socket_to_the_others(
    lines: Lines, suspects: list[Suspect], family: int, host: str
) -> None:
    lent = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(4)]
    for each in lent:
        each.setblocking(False)
    inside = lending.Inside(lent, [])
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    with contextlib.ExitStack() as others:
        silent = [others.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(9)]
        server = others.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        server.setblocking(False)
        for each in (server, *silent):
            each.bind((host, 0))

        def at(link: socket.socket) -> protocol.Upstream:
            return protocol.Upstream(host, link.getsockname()[1], inside=True)

        async with asyncio.TaskGroup() as tasks:
            in_vain = [
                tasks.create_task(lines.hear((inside, at(each)), sent(number), deadline))
                for number, each in enumerate(silent)
            ]
            await asyncio.sleep(0)
            heard = tasks.create_task(
                lines.hear((inside, at(server)), sent(77, "live.org"), deadline)
            )
            asked, peer = await read(server)
            silent[0].sendto(reply(asked), (host, peer[1]))  # right, but not from whom was asked
            eventually(lambda: select.select([lent[-1]], [], [], 0)[0], PATIENCE_S, "it is there")
            server.sendto(reply(asked), peer)
            found = await heard
            assert not isinstance(found, Why)
            assert found[1] is Trust.GOOD
            assert suspects == [Suspect.ID]
            for waits in in_vain:
                waits.cancel()
    lines.close()
    inside.close()
    assert all(each.fileno() == -1 for each in lent)


async def test_one_that_is_given_up_and_over_at_once_is_left_once(
    lines: Lines, server: socket.socket
) -> None:
    loop, clock = asyncio.get_running_loop(), LoopClock()
    async with asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(hear(lines, server, sent(1), 600), name="waits")
        await read(server)
        loop.call_later(60, waits.cancel)
        clock.forward(700)  # so that both are due in one turn
    assert waits.cancelled()


async def test_who_finds_no_room_waits_for_some_and_others_pass(
    lines: Lines, server: socket.socket
) -> None:
    """Two sockets: one server holds the one, all others share the other."""
    lent = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for each in lent:
        each.setblocking(False)
    inside = lending.Inside(lent, [])
    with contextlib.ExitStack() as others:
        one, two = (others.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)

        def ask(whom: socket.socket, number: int) -> "asyncio.Task[Heard]":
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            asked = lines.hear((inside, upstream(whom)), sent(number), deadline)
            return tasks.create_task(asked)

        async with asyncio.TaskGroup() as tasks:
            holds = ask(server, 0)
            first = [ask(one, number) for number in range(1, SHARE + 1)]
            came = [await read(one) for _ in first]
            late = ask(one, 200)
            other = ask(two, 201)
            asked, peer = await read(two)  # though `late` came before it
            two.sendto(reply(asked), peer)
            await other
            assert not late.done()
            for asked, peer in came:
                one.sendto(reply(asked), peer)
            asked, peer = await read(one)
            assert asked[:2] == (200).to_bytes(2, "big")
            one.sendto(reply(asked), peer)
            assert not isinstance(await late, Why)
            more = [ask(one, number) for number in range(300, 300 + SHARE + 1)]
            came = [await read(one) for _ in more[1:]]
            asked, peer = await read(server)
            server.sendto(reply(asked), peer)  # whose socket is free now
            await holds
            for asked, peer in (*came, await read(one)):
                one.sendto(reply(asked), peer)
        assert not any(isinstance(each.result(), Why) for each in (other, *first, *more))
    inside.close()


async def test_who_finds_no_room_in_time_is_told_that_it_is_short(
    lines: Lines, server: socket.socket
) -> None:
    lent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lent.setblocking(False)
    inside = lending.Inside([lent], [])
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        async with asyncio.TaskGroup() as tasks:
            holds = tasks.create_task(lines.hear((inside, upstream(server)), sent(1), deadline))
            asked, peer = await read(server)
            with pytest.raises(NoReply) as failed:
                await lines.hear((inside, upstream(other)), sent(2), deadline)
            assert failed.value.why is Why.SHORT
            server.sendto(reply(asked), peer)
        assert not isinstance(holds.result(), Why)
    inside.close()


@pytest.mark.parametrize("name", ["www.example.org", "WWW.example.ORG"])
async def test_A8_52_a_guess_at_the_answer_ends_the_wait_over_udp(
    lines: Lines, server: socket.socket, suspects: list[Suspect], name: str
) -> None:
    """Its id is wrong; what is said of another question is no guess at this one's answer."""
    whom, until = (sockets.HOST4, upstream(server)), asyncio.get_running_loop().time() + PATIENCE_S
    async with asyncio.TaskGroup() as tasks:
        patient = tasks.create_task(lines.hear(whom, sent(1), until))
        wary = tasks.create_task(lines.hear(whom, sent(2), until, near=2))
        other = tasks.create_task(lines.hear(whom, sent(3, "other.org"), until, near=1))
        came = [await read(server) for _ in range(3)]
        peer = came[0][1]
        for number in (7, 8):
            assert not wary.done()
            server.sendto(reply(sent(9, "else.org").message), peer)
            server.sendto(reply(sent(number, name).message), peer)
        assert await wary == (b"", Trust.FORGED)
        for asked, each in came:
            server.sendto(reply(asked), each)
        for found in (await patient, await other):
            assert not isinstance(found, Why)
            assert found[1] is Trust.GOOD
    assert set(suspects) == {Suspect.ID}


async def test_A8_52_the_answer_to_another_question_ends_it_too(
    lines: Lines, server: socket.socket, suspects: list[Suspect]
) -> None:
    whom, until = (sockets.HOST4, upstream(server)), asyncio.get_running_loop().time() + PATIENCE_S
    async with asyncio.TaskGroup() as tasks:
        wary = tasks.create_task(lines.hear(whom, sent(2), until, near=1))
        _, peer = await read(server)
        server.sendto(reply(sent(2, "other.org").message), peer)
        assert await wary == (b"", Trust.FORGED)
    assert suspects == [Suspect.QUESTION]
