import os
import resource
import socket
from pathlib import Path

from sdd import notify
from tests import keeper

MANY = 1 << 16  # a table for as many descriptors as some machines allow would take all memory


def test_every_word_reaches_the_manager(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        speaker = notify.Notifier(str(tmp_path / "n"))
        speaker.ready("2 networks\nbad line")
        speaker.reloading(12.5)
        speaker.status("busy")
        speaker.watchdog()
        speaker.stopping()
        heard = [manager.recv(4096).decode() for _ in range(5)]
    assert heard == [
        "READY=1\nSTATUS=2 networks bad line",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "STATUS=busy",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_an_abstract_address() -> None:
    name = f"sdd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        notify.Notifier(f"@{name}").watchdog()
        assert manager.recv(100) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    notify.Notifier("").ready("x")
    notify.Notifier(str(tmp_path / "gone")).ready("x")


def test_the_address_is_taken_from_the_environment_once() -> None:
    environment = {"NOTIFY_SOCKET": "/run/n", "A": "b"}
    assert notify.take_address(environment) == "/run/n"
    assert environment == {"A": "b"}
    assert notify.take_address(environment) == ""


def test_the_watchdog_wants_twice_the_pace() -> None:
    assert notify.watchdog_interval_s({"WATCHDOG_USEC": "30000000"}, 7) == 15
    assert notify.watchdog_interval_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 7) == 15
    assert notify.watchdog_interval_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 7) is None
    for bad in ("", "x", "0", "-1", "٣"):
        assert notify.watchdog_interval_s({"WATCHDOG_USEC": bad}, 7) is None
    assert notify.watchdog_interval_s({}, 7) is None


def test_sockets_of_systemd_are_taken_with_their_names() -> None:
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        # At the far end of the table: a lower number may be somebody's, also of a thread in accept().
        first = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MANY) - 2
        os.dup2(one.fileno(), first)
        os.dup2(two.fileno(), first + 1)
        environment = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "api"}
        found = notify.take_sockets(environment, 7, first)
        assert [name for name, _ in found] == ["api", "unknown"]
        assert not any(os.get_inheritable(link.fileno()) for _, link in found)
        for _, link in found:
            link.close()
    assert environment == {}


def test_sockets_meant_for_another_process_are_left() -> None:
    for environment in (
        {"LISTEN_PID": "8", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "x"},
        {"LISTEN_FDS": "1"},
        {},
    ):
        assert notify.take_sockets(environment, 7) == ()


def test_a_socket_is_kept_until_it_is_dropped(tmp_path: Path) -> None:
    with keeper.manager(tmp_path / "n") as manager, socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        speaker = notify.Notifier(manager.address)
        speaker.keep("a", one.fileno())
        speaker.keep("b", one.fileno())
        speaker.drop(["b"])
        assert list(manager.kept) == ["a"], "all is done when it returns"
        (copy,) = manager.sockets().values()
        with copy:
            assert copy.getsockname() == one.getsockname()
        assert manager.said[0] == "FDSTORE=1\nFDNAME=a\nFDPOLL=0"
        assert manager.said[2:] == ["FDSTOREREMOVE=1\nFDNAME=b", "BARRIER=1"]
        speaker.drop([])
        assert len(manager.said) == 4


def test_without_a_manager_nothing_is_kept_and_nobody_waits(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "gone")):
        speaker = notify.Notifier(address)
        speaker.keep("a", 0)
        speaker.drop(["a"])
