"""The hosts file follows what is switched on in the sandbox."""

import pytest

from resolver.files import own
from sdd.model import ids
from tests import resolver_states as states
from tests.kernel.resolver.town import Town, pair

pytestmark = pytest.mark.kernel

RED = states.net("red")
SWITCH = "net.ipv6.conf.all.disable_ipv6"


def written(town: Town, name: str) -> str:
    ours = own.Files(town.root / "data")
    return ours.path(ids.SandboxId(states.identity(name)), own.HOSTS).read_text()


async def test_C52_ipv6_lines_are_absent_where_it_is_off_and_come_back(town: Town) -> None:
    for name in ("ann", "bob"):
        await town.make(name)
    town.inside("bob", "sysctl", "-w", f"{SWITCH}=1")
    daemon = town.daemon()
    values = (RED, *pair(town, "ann", 2), *pair(town, "bob", 3))
    await town.settle(daemon, *values)
    assert "::1\tlocalhost" in written(town, "ann")
    assert written(town, "bob") == "127.0.0.1\tlocalhost\n10.44.1.3\tbob\n"
    town.inside("bob", "sysctl", "-w", f"{SWITCH}=0")
    outcome = await town.realise(daemon, *values, again=True)
    assert outcome.failures == ()
    assert written(town, "bob") == written(town, "ann").replace("10.44.1.2\tann", "10.44.1.3\tbob")
