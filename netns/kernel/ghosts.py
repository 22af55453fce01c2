"""Our links in namespaces that lost their name and live on, for a program runs in them.

In: the paths of the namespaces that have one. Out: that others hold nothing of ours any more. A
veth pair is removed by its end on the host; nothing there leads to a macvlan or ipvlan link, and
while it stands the parent gives nobody else its MAC, or its addresses. The kernel still has the
number that such a namespace had, and lets us reach into it by that.
"""

from collections.abc import Collection

from netns import world
from netns.kernel import marks, numbers
from netns.netlink import link, number
from sdd import errors
from sdd.linux import namespaces, netlink


def remove(named: Collection[str]) -> int:
    """In how many there were; of the calling thread's namespace all children that are ours.

    Takes a question for each namespace of `named` and for each number. Raises `lookups.Hangs` when
    nobody can tell which of these is where one of `named` leads.
    """
    with netlink.Connection(netlink.ROUTE) as connection:
        known = {numbers.of(connection, path) for path in (*named, namespaces.OWN)}
        every = {number.of(reply.body) for reply in connection.dump(*number.listing())}
        there = sorted(every - known - {number.NONE})
        return sum(_cleared(connection, where) for where in there)


def _cleared(connection: netlink.Connection, where: int) -> bool:
    """Whether anything of ours went there.

    By our group: should the namespace have ended, and another one got its number and our index,
    what is not ours stays.
    """
    if not _holds(connection, where):
        return False
    (done,) = connection.request((link.delete_group_inside(marks.GROUP, where),))
    return not done.error


def _holds(connection: netlink.Connection, where: int) -> bool:
    """Whether there are children of ours that have a parent here."""
    asked = link.ask_all_inside(where)
    try:
        told = connection.dump(asked.kind, asked.body, asked.flags)
    except errors.SddError:
        return False  # it ended, is out of our reach, or never stands still
    own = numbers.of(connection, namespaces.OWN)  # the kernel has one since it told of a parent
    return own != number.NONE and any(
        each.kind in world.CHILDREN
        and each.group == marks.GROUP
        and marks.of_link(each.alias, each.group)
        and each.parent_space == own
        for each in map(link.of, told)
    )
