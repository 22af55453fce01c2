"""What makes wishes of this backend impossible, in words.

In: what is wanted, and what is in its way. Out: failures with the way out of each.
"""

from netns import world
from sdd import errors
from sdd.model import absence, network, progress


def lost(wanted: world.Wanted) -> progress.Failure:
    """The namespace of a guest is gone."""
    return absence.of(wanted.subject, wanted.name, wanted.path, is_adopted=True)


def hanging(wanted: world.Wanted, why: errors.Unavailable) -> progress.Failure:
    """Nobody can tell where the path of a guest leads: it stays as it is."""
    return progress.Failure(
        subject=wanted.subject,
        sentence=f"sandbox {wanted.name!r} stays as it is: {why.sentence}",
        hint=why.hint,
        code=why.code,
    )


def taken(subject: str, wanted: world.Link, found: world.Link) -> progress.Failure:
    """A foreign link has the name of one that `subject` needs."""
    return progress.Failure(
        subject=subject,
        sentence=f"the host has a link {found.name!r} that is not ours and no bridge to adopt",
        hint=_way_out(wanted, found),
        code="SDD-NETNS-TAKEN",
    )


def _way_out(wanted: world.Link, found: world.Link) -> str:
    """A link that may be a network card, or loopback, is nothing to remove."""
    if wanted.adopts:
        return f"choose another name for the bridge: -o {network.OPTION_BRIDGE_NAME}=NAME"
    if found.kind in (world.Kind.OTHER, world.Kind.LOOPBACK):
        return f"rename it: ip link set {found.name} name NAME"
    return f"rename or remove it: ip link del {found.name}"
