"""What is searched for once, and when again."""

import errno

from netns import contract, steps, world
from netns.kernel.hindrances import PATIENCE_S, Hindrances

LINK = world.Link(name="eth0", kind=world.Kind.MACVLAN, parent="up0")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(subject: str, error: int) -> contract.Refusal:
    step = steps.AddChild(link=LINK, inside="/a", subject=subject)
    return contract.Refusal(step=step, reason="no", error=error)


BUSY = refused("a", errno.EBUSY)


def test_the_same_conflict_is_searched_for_once_in_a_while() -> None:
    clock = Clock()
    one = Hindrances(clock)
    assert one.are_new([BUSY])
    one.search([BUSY])
    assert not one.are_new([BUSY])
    clock.now = PATIENCE_S
    assert one.are_new([BUSY])


def test_another_object_or_another_reason_is_new() -> None:
    one = Hindrances(Clock())
    one.search([BUSY])
    assert one.are_new([BUSY, refused("b", errno.EBUSY)])
    assert one.are_new([refused("a", errno.EADDRINUSE)])


def test_what_no_link_can_be_in_the_way_of_is_none() -> None:
    assert not Hindrances(Clock()).are_new([refused("a", errno.ENODEV)])
    assert Hindrances(Clock()).are_new([refused("a", errno.EINVAL)])
    step = steps.SetLink(link=LINK, subject="a")
    assert not Hindrances(Clock()).are_new(
        [contract.Refusal(step=step, reason="no", error=errno.EINVAL)]
    )
