"""What was found at each address of a member → what is said of the member. Pure.

In: a check, a standing and the last result per address. Out: the same after a try, and the words
for the store. When a status turns is `judge`'s business.
"""

from collections.abc import Sequence
from dataclasses import replace

from lb import judge
from lb.checks import Check
from lb.dial import Result
from lb.unmade import Unmade
from sdd.model import health
from sdd.model.network import IPAddress
from sdd.model.service import CheckKind

Way = tuple[IPAddress, bool]  # an address, and whether it is asked by way of ingress


def way(check: Check) -> Way:
    """How the member is asked."""
    return check.address, check.is_ingress


def taken_up(check: Check, said: health.Said, answered: frozenset[Way]) -> list[judge.Standing]:
    """The standing at each address of a member of which the store says `said`."""
    failing = [
        each.address.version in (said.ingress_failing if each.is_ingress else said.failing)
        for each in check.each
    ]
    return [
        replace(one, has_answered=way(each) in answered)
        for each, one in zip(check.each, judge.taken_up(said, failing), strict=True)
    ]


def last(before: Result | None, now: Result | Unmade) -> Result:
    """The result that counts at an address: the last one that there was."""
    if isinstance(now, Result):
        return now
    return before or Result(passed=False, reason=f"cannot be checked: {now.reason}")


def lack(check: Check, found: Sequence[Result | Unmade]) -> str:
    """Why some addresses could not be asked; "" when all were."""
    lacks = [
        (each, one.reason)
        for each, one in zip(check.each, found, strict=True)
        if isinstance(one, Unmade)
    ]
    if len(lacks) == len(found) and len({words for _, words in lacks}) == 1:
        return lacks[0][1]
    return _by_way(lacks)


def judged(standing: judge.Standing, check: Check, result: Result | Unmade) -> judge.Standing:
    """The standing after a try; as it was when nothing came of it."""
    if isinstance(result, Unmade):
        return standing
    rise, fall = (1, 1) if result.is_final else (check.how.rise, check.how.fall)
    return judge.judged(standing, passed=result.passed, rise=rise, fall=fall, heard=result.heard)


def is_borne_out(standings: Sequence[judge.Standing], found: Sequence[Result | Unmade]) -> bool:
    """Whether these results say why the member is as it is, and not that it may be turning."""
    return all(
        isinstance(result, Result) and result.passed == (one.status is health.Status.UP)
        for one, result in zip(standings, found, strict=True)
    )


def answered(said: health.Said, check: Check) -> frozenset[Way]:
    """The ways in which the program has answered, as the store knows it."""
    return frozenset(
        way(each)
        for each in check.each
        if each.address.version in (said.ingress_answered if each.is_ingress else said.answered)
    )


def said(
    check: Check,
    standings: Sequence[judge.Standing],
    results: Sequence[Result],
    before: health.Said,
) -> health.Said:
    """What the standings come to, and who has answered."""
    now = _found(check, standings, results)
    if check.how.kind is not CheckKind.UDP:
        return now
    was = answered(before, check)
    known = [
        each
        for each, one, result in zip(check.each, standings, results, strict=True)
        if judge.is_known_to_answer(one, result.heard, was=way(each) in was)
    ]
    return replace(
        now,
        answered=tuple(each.address.version for each in known if not each.is_ingress),
        ingress_answered=tuple(each.address.version for each in known if each.is_ingress),
    )


def _found(
    check: Check, standings: Sequence[judge.Standing], results: Sequence[Result]
) -> health.Said:
    """What the standings come to; the reason is that of whoever decides it.

    Ingress decides nothing about the member: who is down there serves those who come directly.
    """
    own = [one for each, one in zip(check.each, standings, strict=True) if not each.is_ingress]
    status = judge.summed(own)
    failing = [
        (each, result.reason)
        for each, one, result in zip(check.each, standings, results, strict=True)
        if one.status is not health.Status.UP
    ]
    if status is not health.Status.UP or not failing:
        return health.Said(status, results[0].reason)
    reason = _by_way(failing)
    by_ingress = tuple(each.address.version for each, _ in failing if each.is_ingress)
    direct = tuple(each.address.version for each, _ in failing if not each.is_ingress)
    return health.Said(status, reason, direct, by_ingress)


def _by_way(told: Sequence[tuple[Check, str]]) -> str:
    return ", ".join(
        f"{'published ports, ' if each.is_ingress else ''}IPv{each.address.version}: {words}"
        for each, words in told
    )
