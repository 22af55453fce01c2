"""Names of our own against Docker Engine's embedded server, each in a sandbox of its own network.

Both have a thousand names on one network and are asked from inside it, at 127.0.0.11.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import docker
from tests.bench.dns import lab, ours

NAMES = [f"web{n}" for n in range(1000)]
GOALS = {"docker": 2.0}


@contextlib.contextmanager
def embedded(engine: docker.Engine) -> Iterator[lab.Server]:
    """Docker's server as a container sees it; one neighbour has all the names."""
    engine.image("box")
    engine.docker("network", "create", "lab")
    sleep = ("box", "/bin/busybox", "sleep", "1000000")
    aliases = [f"--network-alias={name}" for name in NAMES]
    engine.docker("run", "-d", "--name", "named", "--network", "lab", *aliases, *sleep)
    engine.docker("run", "-d", "--name", "client", "--network", "lab", *sleep)
    server = lab.Server("docker", engine.pid, 53, engine.inside("client"))
    yield lab.ready(server, NAMES[0])
    engine.docker("rm", "-f", "named", "client")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, docker.engine() as engine:
        if engine is None:
            return
        os.chmod(name, 0o755)  # noqa: PTH101 - dnsperf in the engine's namespaces reads it
        with (
            lab.scratch("docker") as space,
            ours.worker(space, dict.fromkeys(NAMES, "10.60.0.2")) as worker,
            embedded(engine) as theirs,
        ):
            many = lab.shuffled(NAMES, Path(name) / "many")
            servers = (lab.ready(worker, NAMES[0]), theirs)
            lab.compare("a thousand local names,", servers, many, GOALS)


if __name__ == "__main__":
    main()
