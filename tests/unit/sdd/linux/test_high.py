"""Descriptors under high numbers."""

import resource
import socket

import pytest

from sdd.linux import high


def test_what_is_moved_is_the_same_socket_under_a_high_number() -> None:
    made = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
    made[1].bind(("127.0.0.1", 0))
    name = made[1].getsockname()
    moved = high.all_moved(made)
    assert moved[1].getsockname() == name
    assert all(each.fileno() >= high.FIRST and not each.get_inheritable() for each in moved)
    assert {each.fileno() for each in made} == {-1}
    for each in moved:
        each.close()


def test_without_high_numbers_nothing_is_left_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    made = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (high.FIRST, hard))
    try:
        with pytest.raises(OSError):  # noqa: PT011 - EINVAL or EMFILE, as the kernel likes
            high.all_moved(made)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {each.fileno() for each in made} == {-1}
