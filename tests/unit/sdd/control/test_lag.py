"""Who is behind the store, for how long, and who has been at one pass for too long."""

from sdd.control.lag import BEHIND_S, Lag
from sdd.model.ids import Revision
from sdd.model.progress import EVERYTHING, Backend, Outcome
from sdd.state import ClusterState


class Story:
    """Four backends that have realised what they are told to; `now` is the clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made: dict[Backend, Outcome] = {}
        self.lag = Lag(lambda: self.made, lambda: self.now)

    def come(self, revision: int) -> None:
        self.lag.published(ClusterState(revision=Revision(revision)))

    def realise(self, revision: int, *those: Backend) -> None:
        for each in those or Backend:
            self.made[each] = Outcome(revision=Revision(revision))

    def behind(self) -> dict[str, float]:
        return {backend.value: each for backend, each in self.lag.seconds().items() if each}


def test_it_counts_from_the_first_revision_that_was_not_realised() -> None:
    story = Story()
    story.come(1)
    story.realise(1)
    story.now += 50
    assert story.behind() == {}
    for revision in range(2, 30):
        story.come(revision)
        story.realise(revision, Backend.LB, Backend.NETNS, Backend.PORTS)
        story.now += 0.5
    assert story.behind() == {"resolver": 14.0}
    story.realise(29)
    assert story.behind() == {}


def test_who_follows_with_a_delay_is_as_late_as_its_next_revision() -> None:
    story = Story()
    for revision in range(1, 61):
        story.come(revision)
        story.realise(max(0, revision - 4))
        story.now += 1
    assert set(story.behind().values()) == {4.0}


def test_revisions_that_came_together_are_of_one_age() -> None:
    story = Story()
    story.come(1)
    story.now += 0.9
    story.come(2)
    story.realise(1)
    assert {round(each, 6) for each in story.behind().values()} == {0.9}


def test_a_backend_that_hangs_is_told_and_fails_as_a_whole() -> None:
    story = Story()
    story.realise(13)
    story.come(13)
    story.now += 1000
    story.come(14)
    story.realise(14, Backend.LB, Backend.NETNS, Backend.PORTS)
    story.now += BEHIND_S
    assert story.lag.sentences() == {}
    assert story.lag.outcomes() is story.made
    story.now += 24
    sentence = "resolver has been behind for 44 s: it is at revision 13, the store at 14"
    assert story.lag.sentences() == {Backend.RESOLVER: sentence}
    (failure,) = story.lag.outcomes()[Backend.RESOLVER].failures
    assert (failure.subject, failure.sentence) == (EVERYTHING, sentence)
    assert story.lag.outcomes()[Backend.LB] is story.made[Backend.LB]


def test_a_pass_over_what_is_realised_already_may_hang_as_well() -> None:
    story = Story()
    story.come(7)
    story.realise(7)
    story.now += 5
    story.lag.began(Backend.NETNS)
    story.now += 25
    assert story.lag.sentences() == {
        Backend.NETNS: "netns has been at one pass over revision 7 for 25 s"
    }
    story.lag.ended(Backend.NETNS)
    assert story.lag.sentences() == {}
