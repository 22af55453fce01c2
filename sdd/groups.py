"""Objects grouped by what they belong to, each group in an order of its own. Pure.

A changed object costs a look-up in its group, not a new grouping of everything: at 10 000 members
that is the difference between microseconds and the whole time that a command may take.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from sdd import lineage

Owner = TypeVar("Owner")
Item = TypeVar("Item")
Groups = Mapping[Owner, tuple[Item, ...]]


def grouped(
    items: Iterable[Item], owner: Callable[[Item], Owner], order: Callable[[Item], Any]
) -> Groups[Owner, Item]:
    """Every item in its owner's group; `order` gives what a group is sorted by."""
    found: defaultdict[Owner, list[Item]] = defaultdict(list)
    for each in items:
        found[owner(each)].append(each)
    for those in found.values():
        if len(those) > 1:  # of 10 000 sandboxes most have one endpoint: `order` takes most of it
            those.sort(key=order)
    return MappingProxyType({of: tuple(those) for of, those in found.items()})


def regrouped(
    before: Groups[Owner, Item],
    gone: Iterable[Item],
    come: Iterable[Item],
    owner: Callable[[Item], Owner],
    order: Callable[[Item], Any],
) -> Groups[Owner, Item]:
    """`before` without `gone`, which are in it, and with `come`; the rest is the same objects."""
    after = lineage.thawed(before)
    for each in gone:
        of = owner(each)
        rest = _without(after[of], each, order)
        if rest:
            after[of] = rest
        else:
            del after[of]
    for each in come:
        of = owner(each)
        those = after.get(of, ())
        at = bisect_right(those, order(each), key=order)
        after[of] = (*those[:at], each, *those[at:])
    return MappingProxyType(after)


def _without(those: tuple[Item, ...], one: Item, order: Callable[[Item], Any]) -> tuple[Item, ...]:
    at = bisect_left(those, order(one), key=order)
    while those[at] is not one:  # one beside it is equal in `order`
        at += 1
    return those[:at] + those[at + 1 :]
