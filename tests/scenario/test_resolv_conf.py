"""`--write-resolv-conf`: what is stored for each of its values, and what is refused."""

from collections.abc import AsyncIterator

import pytest

from sdd import errors
from sdd.model import ids, network, request, sandbox
from sdd.store import codec
from tests.scenario.node import Facts, Node, node

WHERE = "/run/netns/there"


@pytest.fixture
async def lab() -> AsyncIterator[Node]:
    async with node() as one:
        await one.commands.ensure_default_network()
        one.world.namespaces |= {
            WHERE: Facts(inode=7),
            "/run/netns/other": Facts(inode=8),
            "/proc/4711/ns/net": Facts(inode=9),
        }
        yield one


def attach(name: str, write: str, *, netns: str = "", pid: int = 0) -> request.SandboxCreate:
    return request.SandboxCreate(name=name, netns=netns, pid=pid, write_resolv_conf=write)


@pytest.mark.parametrize(
    ("write", "means"),
    [
        ("auto", sandbox.ResolvConf()),
        ("never", sandbox.ResolvConf(writing=sandbox.Writing.NEVER)),
        (
            "/srv/c/etc/resolv.conf",
            sandbox.ResolvConf(writing=sandbox.Writing.FILE, path="/srv/c/etc/resolv.conf"),
        ),
    ],
)
async def test_each_value_is_stored(lab: Node, write: str, means: sandbox.ResolvConf) -> None:
    made = await lab.commands.create_sandbox(attach("c", write, netns=WHERE))
    assert lab.state.sandboxes[made.id].resolv_conf == means


async def test_a_path_of_a_process_is_inside_its_root(lab: Node) -> None:
    made = await lab.commands.create_sandbox(attach("c", "/etc/resolv.conf", pid=4711))
    assert (made.resolv_conf.pid, made.resolv_conf.path) == (4711, "/etc/resolv.conf")
    again = attach("d", "/etc/resolv.conf", netns=WHERE)  # the same path of another root
    assert (await lab.commands.create_sandbox(again)).resolv_conf.pid == 0


@pytest.mark.parametrize(
    ("write", "words"),
    [
        ("", "not absolute"),
        ("sometimes", "not absolute"),
        ("etc/resolv.conf", "not absolute"),
        ("/", "empty step"),
        ("/etc/", "empty step"),
        ("/etc//resolv.conf", "empty step"),
        ("/srv/../etc/resolv.conf", r'"\.\."'),
        ("/etc/resolv.conf\nsearch x", "control character"),
        ("/etc/\x00", "control character"),
        ("/" + "x" * 4095, "too long"),
    ],
)
async def test_A8_94_a_bad_path_is_refused(lab: Node, write: str, words: str) -> None:
    before = await lab.keys()
    with pytest.raises(errors.Invalid, match=words) as caught:
        await lab.commands.create_sandbox(attach("c", write, netns=WHERE))
    assert caught.value.code == "SDD-SANDBOX-RESOLVCONF"
    assert await lab.keys() == before


@pytest.mark.parametrize("write", ["never", "/etc/resolv.conf"])
async def test_a_namespace_that_we_make_has_no_root_of_its_own(lab: Node, write: str) -> None:
    with pytest.raises(errors.Invalid, match="sandbox 'c'"):
        await lab.commands.create_sandbox(attach("c", write))


async def test_two_sandboxes_do_not_fight_for_one_file(lab: Node) -> None:
    await lab.commands.create_sandbox(attach("c", "/srv/resolv.conf", netns=WHERE))
    with pytest.raises(errors.Conflict, match="of sandbox c"):
        await lab.commands.create_sandbox(attach("d", "/srv/resolv.conf", netns="/run/netns/other"))


def test_a_sandbox_of_an_older_release_is_auto() -> None:
    box = sandbox.Sandbox(
        id=ids.SandboxId("b"),
        name="c",
        node=ids.NodeId("n"),
        origin=sandbox.Origin.ADOPTED,
        netns=WHERE,
        labels=network.EMPTY,
    )
    key, old = codec.key(box), codec.encode(box)
    assert b'"resolv_conf"' in old
    older = old.replace(b'"resolv_conf":{"writing":"auto","path":"","pid":0},', b"")
    assert older != old
    assert codec.decode(key, older) == box
