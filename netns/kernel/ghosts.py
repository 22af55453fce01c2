"""Our links in namespaces that lost their name and live on, for a program runs in them.

In: the paths of the namespaces that have one. Out: that others hold nothing of ours any more. A
veth pair is removed by its end on the host; nothing there leads to a macvlan or ipvlan link, and
while it stands the parent gives nobody else its MAC, or its addresses. The kernel still has the
number that such a namespace had, and lets us reach into it by that.
"""

from collections.abc import Collection, Iterator

from netns import world
from netns.kernel import marks, numbers
from netns.netlink import link, number
from sdd.linux import namespaces, netlink


def remove(named: Collection[str]) -> int:
    """How many there were; of the calling thread's namespace all children that are ours.

    Takes a question for each namespace of `named` and for each number.
    """
    with netlink.Connection(netlink.ROUTE) as connection:
        known = {numbers.of(connection, path) for path in named}
        every = {number.of(reply.body) for reply in connection.dump(*number.listing())}
        found = [
            link.delete_inside(each.index, where)
            for where in sorted(every - known - {number.NONE})
            for each in _children(connection, where)
        ]
        return sum(not result.error for result in connection.request(found))


def _children(connection: netlink.Connection, where: int) -> Iterator[link.Report]:
    """Those that have a parent here. The namespace may end meanwhile, or be out of our reach."""
    (told,) = connection.request((link.ask_all_inside(where),))
    own = numbers.of(connection, namespaces.OWN)  # the kernel has one since it told of a parent
    if own == number.NONE:
        return
    for each in map(link.of, told.replies):
        is_ours = each.kind in world.CHILDREN and marks.of_link(each.alias, each.group)
        if is_ours and each.parent_space == own:
            yield each
