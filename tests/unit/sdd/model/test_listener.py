import pytest

from sdd.model import listener


@pytest.mark.parametrize("url", ["fd://", "unix:///run/sdd/sdd.sock", "unix:///x"])
def test_a_socket_can_be_there(url: str) -> None:
    assert listener.fault(url) == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "unix:///"),
        ("unix://run/x", "unix:///"),
        ("tcp://127.0.0.1:1", "unix:///"),
        ("unix:///", "directory"),
        ("unix:///run/", "directory"),
        ("unix:///run//x", "empty step"),
        ("unix:///run/./x", "empty step"),
        ("unix:///../x", "empty step"),
        ("unix:///" + "é" * 54, "109 bytes"),
    ],
)
def test_what_is_wrong_is_said(url: str, words: str) -> None:
    assert words in listener.fault(url)


def test_the_bound_is_the_kernels() -> None:
    assert listener.too_long("/" + "x" * 106) == ""
    assert "108 bytes" in listener.too_long("/" + "x" * 107)
