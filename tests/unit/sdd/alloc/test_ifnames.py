"""Link names inside a sandbox."""

from sdd.alloc import ifnames


def test_the_first_free_one() -> None:
    assert ifnames.first_free({"lo"}) == "eth0"
    assert ifnames.first_free({"lo", "eth0", "eth2"}) == "eth1"
    assert ifnames.first_free({"net0"}, prefix="net") == "net1"
