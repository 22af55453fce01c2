"""A thousand sandboxes and a hundred networks: nothing that a worker says or hears is cut short."""

import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics import dns as dns_metrics
from resolver import counters, parts, protocol
from resolver.control import link
from resolver.message import wire
from tests.scenario.worker import Session, Worker, address, ask, running

BOXES = 1000


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """Room for two sockets a sandbox, which the worker inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 3 * BOXES, "this needs 3000 open files (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def worker(tmp_path: Path, files: None) -> Iterator[Worker]:
    del files
    with running(tmp_path) as one:
        yield one


def boxes(session: Session, names: protocol.Names) -> dict[str, tuple[int, int]]:
    """Serves `names` to a thousand sandboxes, with ids of real length."""
    made = {}
    for number in range(BOXES):
        made[f"{number:064x}"] = session.serve(f"{number:064x}", names if not number else None)
        session.view(f"{number:064x}", ["net"])
    assert session.apply() == {}
    return made


@pytest.mark.usefixtures("patient")
async def test_a_worker_with_a_thousand_sandboxes_is_taken_over(worker: Worker) -> None:
    names = {wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")}}
    first = worker.session()
    ports = boxes(first, names)
    first.link.close()
    taken = await link.Link.open(link.connect(str(worker.path)))
    assert taken.inventory.listeners.keys() == ports.keys() == taken.inventory.views.keys()
    assert {box: one.udp_port for box, one in taken.inventory.listeners.items()} == {
        box: udp for box, (udp, _) in ports.items()
    }
    assert taken.inventory.tables == {"net": "d"}
    assert (await taken.apply(2)).problems == {}
    for box in (0, 499, 999):
        assert ask(ports[f"{box:064x}"], "web").answer
    taken.close()


async def test_a_problem_of_each_of_a_thousand_is_told(worker: Worker) -> None:
    session = worker.session()
    for number in range(BOXES):
        session.serve(f"{number:064x}")
        session.view(f"{number:064x}", ["n" * 64])
    problems = session.apply()
    assert len(problems) == BOXES
    assert "never came" in problems[f"{7:064x}"]


async def test_a_view_of_several_messages_is_one(worker: Worker) -> None:
    own = {
        wire.to_wire(f"h{number}"): {wire.A: address(wire.A, f"10.{number >> 8}.{number & 255}.1")}
        for number in range(6000)
    }
    session = worker.session()
    ports = session.serve("s")
    view = protocol.View("s", "v", [], [], own, [])
    told = list(parts.of(view))
    assert len(told) > 2
    for each in told:
        session.say(each)
    assert session.apply() == {}
    assert ask(ports, "h0").answer
    assert ask(ports, "h5999").answer
    assert worker.session().inventory.views == {"s": "v"}


@pytest.mark.usefixtures("patient")
async def test_counters_of_every_network_that_may_have_its_own_reach_the_page(
    worker: Worker,
) -> None:
    session = worker.session()
    names = {wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")}}
    asked = []
    for number in range(counters.MOST_NETWORKS + 5):
        name = f"network-{number:03}-{'n' * 50}"
        session.table(name, names)
        asked.append(session.serve(f"s{number}"))
        session.view(f"s{number}", [name])
    session.apply()
    for ports in asked:
        for kind in ("A", "AAAA", "TXT", "MX", "SRV"):
            ask(ports, "web", kind)
            ask(ports, "nobody.invalid", kind)
    session.link.close()
    taken = await link.Link.open(link.connect(str(worker.path)))
    counted = await taken.count()
    assert protocol.size(counted) > protocol.MOST_BYTES
    (requests,) = [
        each for each in dns_metrics.families([counted.sums]) if each.name == "sdd_dns_requests"
    ]
    seen: Counter[str] = Counter()
    for sample in requests.samples:
        seen[sample.labels["network"]] += int(sample.value)
    assert seen.pop("") == 0  # of sandboxes without a network
    assert len(seen) == counters.MOST_NETWORKS + 1
    assert seen[counters.OTHER] == 50
    assert set(seen.values()) == {10, 50}
    taken.close()
