"""Where a sandbox's resolv.conf shall be written: `auto`, `never`, or a path that makes sense.

In: a request and the state. Out: the value that is stored, or Invalid or Conflict
`SDD-SANDBOX-RESOLVCONF`. Whether the file can be written is seen when it is written.
"""

from typing import Final

from sdd import errors
from sdd.model import ids, request, sandbox
from sdd.state import ClusterState

CODE: Final = "SDD-SANDBOX-RESOLVCONF"
LONGEST: Final = 4095  # octets of a path, PATH_MAX of the kernel without its end


def wanted(now: ClusterState, node: ids.NodeId, asked: request.SandboxCreate) -> sandbox.ResolvConf:
    """What `asked.write_resolv_conf` means for this sandbox of `node`."""
    given = asked.write_resolv_conf
    if given == sandbox.Writing.AUTO:
        return sandbox.ResolvConf()
    if not asked.netns and not asked.pid:
        raise errors.Invalid(
            f"sdd makes the namespace of sandbox {asked.name!r}, so its resolv.conf has one place",
            hint="leave it out; only `sdctl sandbox attach` takes --write-resolv-conf",
            code=CODE,
        )
    if given == sandbox.Writing.NEVER:
        return sandbox.ResolvConf(writing=sandbox.Writing.NEVER)
    file = sandbox.ResolvConf(writing=sandbox.Writing.FILE, path=_checked(given), pid=asked.pid)
    _check_alone(now, node, file)
    return file


def _checked(path: str) -> str:
    """`path`, absolute and the same however it is read."""
    if why := _wrong(path):
        raise errors.Invalid(
            f"resolv.conf cannot be written to {errors.quoted(path)}: {why}",
            hint="give auto, never, or an absolute path such as /etc/resolv.conf",
            code=CODE,
        )
    return path


def _wrong(path: str) -> str:
    steps = path.split("/")
    if any(not char.isprintable() for char in path):
        return "it holds a control character"
    if steps[0] or len(steps) < 2:  # noqa: PLR2004 - what is before and after the first slash
        return "the path is not absolute"
    if any(step in ("", ".", "..") for step in steps[1:]):
        return 'the path holds an empty step, "." or ".."'
    return "the path is too long" if len(path.encode()) > LONGEST else ""


def _check_alone(now: ClusterState, node: ids.NodeId, file: sandbox.ResolvConf) -> None:
    for box in now.sandboxes.values():
        if box.resolv_conf == file and box.node == node:
            raise errors.Conflict(
                f"{file.path} is already written as the resolv.conf of sandbox {box.name}",
                hint="give each sandbox a file of its own",
                code=CODE,
            )
