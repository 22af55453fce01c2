"""The launcher and real worker processes: adopted, replaced, never two."""

import asyncio
import contextlib
import os
import pwd
import select
import signal
import socket
from pathlib import Path

import msgspec
import pytest

from lb import exec_check
from resolver import protocol
from resolver.control import launch, link, processes, watch
from sdd import errors
from tests.scenario.launched import Bench
from tests.support import LoopClock, eventually_async, room_for

ODD = "tests.scenario.odd_worker"
PROMPT_S = link.PROMPT_S  # as it is outside of tests


async def test_one_worker_is_started_and_kept(bench: Bench) -> None:
    launcher = bench.launcher()
    first, second = await asyncio.gather(launcher.ensure(), launcher.ensure())
    assert first is second
    assert {first.pid} == bench.workers()
    assert first.inventory.release == protocol.RELEASE
    assert (bench.root / protocol.SOCKET).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("inheritable", [False, True])
async def test_the_worker_is_no_child_of_our_session_and_holds_none_of_our_descriptors(
    bench: Bench, inheritable: bool
) -> None:
    """Inheritable are the netlink sockets of libnftables, for one."""
    read, write = os.pipe()
    os.set_inheritable(write, inheritable)
    pid = (await bench.launcher().ensure()).pid
    assert os.getsid(pid) == pid
    targets = {each.name: str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    assert targets["0"] == "/dev/null"
    assert str(Path(f"/proc/self/fd/{write}").readlink()) not in targets.values()
    os.close(read)
    os.close(write)


async def test_A8_86_another_sdd_finds_the_living_worker(bench: Bench) -> None:
    first = bench.launcher()
    pid = (await first.ensure()).pid
    first.close()
    assert (await bench.launcher().ensure()).pid == pid


async def test_a_dead_worker_and_its_stale_socket_are_replaced(bench: Bench) -> None:
    launcher = bench.launcher()
    lost = asyncio.Event()
    first = await launcher.ensure()
    first.lost = lost.set
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        await lost.wait()
    second = await launcher.ensure()
    assert {second.pid} == bench.workers() != {first.pid}


async def test_a_worker_that_does_not_answer_is_ended_and_replaced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.launcher()
    pid = (await first.ensure()).pid
    first.close()
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(processes, "LEAVE_S", 0.2)
    monkeypatch.setattr(link, "HELLO_S", 0.5)  # of those that are there; who starts has its time
    replaced = await bench.launcher().ensure()
    assert {replaced.pid} == bench.workers()
    assert replaced.pid != pid


async def test_a_unit_whose_worker_is_only_starting_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "HELLO_S", 0.01)  # an interpreter needs more
    launcher = bench.launcher(manager=os.getpid())
    bench.root.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as unit, launcher._address() as path:
        unit.bind(path)
        unit.listen()
        unit.setblocking(False)
        async with asyncio.TaskGroup() as group:
            ensuring = group.create_task(launcher.ensure(), name="ensuring")
            # As systemd does: the worker is started by whoever connects.
            await eventually_async(lambda: select.select([unit], [], [], 0)[0], 60, "it connects")
            pid = launcher._spawn(unit.fileno())
        assert ensuring.result().pid == pid
        assert bench.workers() == {pid}


async def test_a_worker_of_another_release_is_replaced(bench: Bench) -> None:
    bench.speak(str(protocol.RELEASE + 1))
    older = bench.launcher(ODD)
    with pytest.raises(errors.Unavailable, match=f"speaks release {protocol.RELEASE + 1}") as seen:
        await older.ensure()
    assert seen.value.code == "SDD-DNS-RELEASE"
    assert bench.workers() == set()  # each of them was ended
    assert (await bench.launcher().ensure()).pid in bench.workers()


async def test_A8_71_a_worker_from_before_the_library_for_quic_is_replaced(
    bench: Bench,
) -> None:
    bench.speak(str(protocol.RELEASE))
    await bench.launcher(ODD).ensure()
    without = bench.workers()
    await bench.launcher(ODD).ensure()
    assert bench.workers() == without
    await bench.launcher(ODD, quic=True).ensure()
    assert len(bench.workers()) == 1
    assert bench.workers() != without


async def test_A8_71_a_worker_tells_that_it_has_the_library_for_quic(bench: Bench) -> None:
    first = await bench.launcher(quic=True).ensure()
    assert first.inventory.quic
    assert (await bench.launcher(quic=True).ensure()).pid == first.pid


async def test_a_worker_that_cannot_start_is_explained(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 60.0)  # it ends by itself, however late
    launcher = bench.launcher("resolver.no_such_module")
    with pytest.raises(errors.Unavailable, match=r"ended at once \(exit code 1\)"):
        await launcher.ensure()
    assert bench.workers() == set()


async def test_a_stranger_on_the_socket_is_not_ended(bench: Bench) -> None:
    """The pid behind the socket is ours: it is no worker, so no signal may be sent."""
    bench.root.mkdir(parents=True)
    root = os.open(bench.root, os.O_RDONLY)
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stranger.bind(f"/proc/self/fd/{root}/{protocol.SOCKET}")
    os.close(root)
    stranger.listen()
    stranger.close()  # nobody answers: the launcher starts a worker in its place
    assert (await bench.launcher().ensure()).pid in bench.workers()


async def test_a_list_of_processes_shows_whose_worker_it_is(bench: Bench) -> None:
    pid = (await bench.launcher().ensure()).pid
    arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert arguments[arguments.index("--exec-root") + 1] == str(bench.root)


async def test_a_start_that_is_given_up_leaves_no_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_never(
        _: type[link.Link], connected: socket.socket, _timeout_s: float
    ) -> link.Link:
        with connected:
            return await asyncio.Future()

    monkeypatch.setattr(link.Link, "open", classmethod(open_never))  # it is not there too soon
    launcher = bench.launcher()
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(launcher.ensure(), name="starting")
        await eventually_async(lambda: bool(bench.workers()), 60, "it is started")
        starting.cancel()
    assert starting.cancelled()
    await eventually_async(lambda: not bench.workers(), 60, "it is ended")


async def test_what_becomes_of_a_worker_is_told_with_its_pid_and_reason(bench: Bench) -> None:
    launcher = bench.launcher()
    assert launcher.trouble() == "no DNS worker is there yet"
    first = await launcher.ensure()
    assert launcher.trouble() == ""
    os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it was killed
    await eventually_async(lambda: launcher.connected is None, 60, "its end is noticed")
    assert launcher.trouble() == "the DNS worker hung up"
    second = await launcher.ensure()
    assert launcher.trouble() == ""
    assert bench.steps() == [
        (launch.Step.STARTED, first.pid),
        (launch.Step.ENDED, first.pid),
        (launch.Step.STARTED, second.pid),
    ]
    assert bench.told[1].reason == "signal SIGKILL"


async def test_a_worker_that_serves_is_adopted_and_a_fresh_one_counts_as_started(
    bench: Bench,
) -> None:
    first = await bench.launcher().ensure()
    await first.apply(7)
    first.close()
    await bench.launcher().ensure()
    assert [step for step, _ in bench.steps()] == [launch.Step.STARTED, launch.Step.ADOPTED]


async def test_a_worker_that_hangs_between_passes_is_replaced_within_ten_seconds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question that it does not answer shows it."""
    monkeypatch.setattr(link, "PROMPT_S", PROMPT_S)
    assert watch.EVERY_S + PROMPT_S < 10
    launcher = bench.launcher()
    watcher = watch.Watch(launcher)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watcher.run(), name="watch")
        first = await launcher.ensure()
        await first.apply(1)
        counted, is_new = await watcher.counters()
        assert is_new
        os.kill(first.pid, signal.SIGSTOP)
        asked = first._asked
        assert await watcher.counters() == (counted, False)
        assert launcher.connected is first, "who counts does not wait as long as a hang takes"
        one = first._asked
        assert one > asked
        await eventually_async(
            lambda: "has not answered for" in launcher.trouble(), 60, "it is told of"
        )
        await eventually_async(lambda: launcher.connected is None, 60, "the hang is noticed")
        assert launcher.trouble() == "the DNS worker does not answer for 3 s"
        assert first._asked == one, "no second question"
        second = await launcher.ensure()
        assert bench.workers() == {second.pid}
        assert bench.steps()[1:] == [
            (launch.Step.DISMISSED, first.pid),
            (launch.Step.STARTED, second.pid),
        ]
        assert (await watcher.counters())[0][0].pid == second.pid
        watching.cancel()


async def test_a_stall_of_our_own_is_no_hang_of_the_worker(bench: Bench) -> None:
    connected, clock = await bench.launcher().ensure(), LoopClock()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(connected.ping(), name="ping")
        await asyncio.sleep(0)
        assert select.select([connected._socket], [], [], 60)[0], "it answers meanwhile"
        clock.forward(2 * link.PROMPT_S)  # this is the stall
    assert asking.done()
    assert connected.is_open


async def test_a_stop_ends_a_worker_that_serves_nobody_and_removes_its_socket(
    bench: Bench,
) -> None:
    launcher = bench.launcher()
    connected = await launcher.ensure()
    await launcher.leave()
    assert bench.workers() == set()
    assert not (bench.root / protocol.SOCKET).exists()
    assert bench.steps()[-1] == (launch.Step.DISMISSED, connected.pid)


async def test_a_stop_leaves_a_worker_that_serves(bench: Bench) -> None:
    launcher = bench.launcher()
    connected = await launcher.ensure()
    with contextlib.ExitStack() as stack:
        links = [
            stack.enter_context(socket.socket(socket.AF_INET, kind))
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        ]
        for each in links:
            each.bind(("127.0.0.1", 0))
        udp, tcp = (each.getsockname()[1] for each in links)
        listening = protocol.Listening(1, udp, tcp)
        await connected.send(protocol.Listen("s", listening), links)
        await connected.apply(1)
    connected.inventory = msgspec.structs.replace(connected.inventory, listeners={"s": listening})
    await launcher.leave()
    assert bench.workers() == {connected.pid}
    assert (await bench.launcher().ensure()).inventory.listeners == {"s": listening}


async def test_a_worker_inherits_nothing_that_it_does_not_need(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("PYTHONPATH", "here")
    pid = (await bench.launcher().ensure()).pid
    process = Path(f"/proc/{pid}")
    assert process.joinpath("cwd").readlink() == Path("/")
    environment = dict(
        each.split("=", 1) for each in process.joinpath("environ").read_text().split("\0") if each
    )
    assert environment.keys() <= {*launch.INHERITED, "PYTHONPATH"}
    assert environment["LANG"] == "C.UTF-8"
    ours, theirs = environment["PYTHONPATH"].split(os.pathsep)
    assert Path(ours, "resolver", "protocol.py").is_file()
    assert theirs == str(tmp_path / "here")


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's worker is for root to start")
async def test_a_worker_without_a_user_of_its_own_is_nobody_whom_others_are(bench: Bench) -> None:
    launcher = bench.launcher(user="no-such-user")
    assert not launcher.has_user
    status = Path(f"/proc/{(await launcher.ensure()).pid}/status").read_text()
    for line in ("Uid:", "Gid:"):
        (found,) = (set(each.split()[1:]) for each in status.splitlines() if each.startswith(line))
        (number,) = found
        assert number not in ("0", str(exec_check.NOBODY))
    with pytest.raises(KeyError):
        pwd.getpwuid(int(number))


@pytest.mark.parametrize("count", range(4))
async def test_without_room_for_files_a_living_worker_is_not_replaced(
    bench: Bench, count: int
) -> None:
    serving = (await bench.launcher().ensure()).pid
    bench.made[0].close()
    again = bench.launcher()
    with room_for(count), contextlib.suppress(errors.Unavailable):
        await again.ensure()
    assert (await again.ensure()).pid == serving
    assert bench.workers() == {serving}


@pytest.mark.parametrize("count", range(4))
async def test_without_room_for_files_no_worker_is_started_and_it_is_told(
    bench: Bench, count: int
) -> None:
    one = bench.launcher()
    with room_for(count), contextlib.suppress(errors.Unavailable):
        await one.ensure()
    if one.connected is None:
        assert "Too many open files" in one.trouble()
    assert {(await one.ensure()).pid} == bench.workers()
