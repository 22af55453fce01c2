"""A state, what this node's checks found since → the state with the newest reasons. Pure.

A verdict is written when a status turns, with the reason of that moment. What else is found of a
member that stays down is in the memory of the node that checks it, and is told beside the state:
whoever reads that its link is gone looks for a cable that was mended long ago.
"""

from collections.abc import Mapping
from dataclasses import replace

from sdd.model import health
from sdd.state import ClusterState, MemberKey, Put


def told(state: ClusterState, newer: Mapping[MemberKey, health.Said]) -> ClusterState:
    """`state` as people read it; `newer` holds for verdicts that say the same but for the reason.

    Members of other nodes keep the reason that is stored.
    """
    news = [
        Put(replace(verdict, reason=said.reason))
        for key, said in newer.items()
        if (verdict := state.verdicts.get(key)) is not None and _is_same(verdict.said, said)
    ]
    return state.apply(state.revision, news) if news else state


def _is_same(stored: health.Said, said: health.Said) -> bool:
    return (stored.status, stored.ways) == (said.status, said.ways)
