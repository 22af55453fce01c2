"""How our objects are told from all others."""

from netns import world

ALIAS = "sdd:"  # a link's alias is `sdd:<id>`
# A link is born with this group and gets its alias right after: one that was caught between is
# ours too, and one whose alias somebody wrote over. The three letters as a number; groups are
# otherwise small numbers given by hand.
GROUP = int.from_bytes(b"sdd")
LEAVING = GROUP + 1  # the group into which links are put to be removed together
PROTOCOL = 83  # of addresses and routes; free in iproute2's rt_protos. lb marks its own otherwise


def of_link(alias: str, group: int) -> str:
    """The id of the object for which the link was made; empty when it is not ours."""
    if alias.startswith(ALIAS):
        return alias.removeprefix(ALIAS) or world.UNFINISHED
    return world.UNFINISHED if group in (GROUP, LEAVING) else ""


def to_alias(mark: str) -> str:
    """What `of_link` understands."""
    return ALIAS + mark
