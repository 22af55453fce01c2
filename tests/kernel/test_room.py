"""tests/lab/room: what an sdd on this machine keeps is neither seen nor touched from inside."""

from pathlib import Path

import pytest

from tests import support

pytestmark = pytest.mark.kernel

ROOM = str(Path(__file__).parents[1] / "lab" / "room")
STORE = "/var/lib/sdd"


def test_a_store_is_not_seen_in_a_room_and_one_made_there_ends_with_it() -> None:
    within = f"test ! -e {STORE} && mkdir {STORE} && touch {STORE}/inner"
    outside = f"test -e {STORE}/outer && test ! -e {STORE}/inner"
    support.run(
        *(ROOM, "sh", "-euc"),
        f"mkdir {STORE}; touch {STORE}/outer; {ROOM} sh -euc '{within}'; {outside}",
    )
    assert not Path(STORE, "outer").exists()


def test_the_other_state_of_the_machine_is_there() -> None:
    inner = support.run(ROOM, "find", "/var/lib/dpkg", "-maxdepth", "1", "-name", "status").stdout
    assert inner == "/var/lib/dpkg/status\n"
