"""What becomes of a pass when one sandbox's files cannot be written."""

from dataclasses import replace
from pathlib import Path

from resolver import reconciler
from resolver.control import launch
from resolver.desired import NOTHING, desired
from resolver.files import own
from resolver.files.upstreams import DaemonDns
from sdd.linux import guests, namespaces
from sdd.model import ids, network
from sdd.model.look import EVERYWHERE
from sdd.state import Put
from tests import resolver_states as states

BAD, GOOD = states.box("bad"), states.box("good")


async def test_whatever_is_wrong_with_one_sandboxs_files_fails_nobody_elses(tmp_path: Path) -> None:
    doors = namespaces.Namespaces()
    written = own.Files(tmp_path / "data", tmp_path / "netns")
    one = reconciler.Reconciler(
        doors,
        launch.Launcher(tmp_path),
        states.NODE,
        written,
        DaemonDns(),
        been=guests.Guests(tmp_path / "guests"),
    )
    state = states.state(states.net("lab"), BAD, GOOD)
    want = desired(state, states.NODE, DaemonDns(), NOTHING)
    bad = ids.SandboxId(BAD.id)
    texts = {**want.texts, bad: replace(want.texts[bad], hosts="no text: \ud800")}
    for _ in range(2):
        done = await one._write(replace(want, texts=texts), EVERYWHERE)
        (failure,) = done.failures
        assert (failure.subject, failure.code) == (BAD.id, "SDD-OBJECT-DATA")
        assert "sandbox 'bad' has no name service" in failure.sentence
        assert written.path(ids.SandboxId(GOOD.id)).read_text()
    # The names go on: what cannot be written now is only old.
    (tmp_path / "data").rename(tmp_path / "gone")
    (tmp_path / "data").write_text("in the way")
    done = await one._write(want, EVERYWHERE)
    told = {each.sentence.partition(":")[0] for each in done.failures}
    assert "resolv.conf and hosts of sandbox 'good' are old" in told
    doors.close()


def _waiting(
    doors: namespaces.Namespaces, folder: Path, waited: list[int], dns: DaemonDns, *, many: int
) -> reconciler.Reconciler:
    """It makes `many` names beside the loop, after the others, whose revisions go into `waited`."""

    async def others(revision: ids.Revision) -> None:
        waited.append(revision)

    return reconciler.Reconciler(
        *(doors, launch.Launcher(folder), states.NODE, own.Files(folder), dns),
        been=guests.Guests(folder / "guests"),
        others=others,
        many=many,
    )


async def test_names_of_many_wait_for_the_others_but_not_at_the_start(tmp_path: Path) -> None:
    waited, doors = list[int](), namespaces.Namespaces()
    one = _waiting(doors, tmp_path, waited, DaemonDns(), many=2)
    plugs = {each: states.plug("good", each, "10.44.1.2/24") for each in ("lab", "one", "two")}
    other = states.plug("bad", "two", "10.44.1.3/24")
    nets = [states.net(each) for each in plugs]
    steps = ([plugs["lab"], states.plug("bad", "lab")], [plugs["one"]], [plugs["two"], other])
    state = states.state(*nets, GOOD, BAD)
    seen = []
    for revision, ends in enumerate(steps, start=2):
        state = state.apply(ids.Revision(revision), map(Put, ends))
        one._want = await one._derived(state)
        seen.append((len(one._want.snapshot.tables), list(waited)))
    assert seen == [(1, []), (2, []), (3, [4])]
    # All names of a network are made anew when what it does with unknown ones changes.
    later = state.apply(
        ids.Revision(9), [Put(replace(nets[2], options={network.OPTION_FORWARD_UNKNOWN: "true"}))]
    )
    assert later.networks[nets[2].id].forwards_unknown
    one._want = await one._derived(later)
    assert waited == [4, 9]
    more = [states.plug(f"box{each}", "one", f"10.44.1.{each}/24") for each in (4, 5)]
    boxes = [states.box(f"box{each}") for each in (4, 5)]
    crowd = [*map(Put, boxes), *map(Put, more)]
    one._want = await one._derived(later.apply(ids.Revision(10), crowd))
    assert waited == [4, 9, 10]
    doors.close()


async def test_other_settings_are_wanted_anew_and_equal_ones_cost_nothing(tmp_path: Path) -> None:
    waited, doors = list[int](), namespaces.Namespaces()
    one = _waiting(doors, tmp_path, waited, DaemonDns(ttl=7), many=1)
    state = states.state(states.net("lab"), GOOD, states.plug("good", "lab", "10.44.1.2/24"))
    one._want = await one._derived(state)
    assert not one.use(DaemonDns(ttl=7))
    again = await one._derived(state)
    assert again.needs[GOOD.id] is one._want.needs[GOOD.id]
    assert waited == []  # nothing was made anew, so nothing of it beside the loop
    assert one.use(DaemonDns(ttl=3, search=("shop",)))
    now = await one._derived(state)
    assert waited == [state.revision]
    (before,), (after,) = one._want.snapshot.tables.values(), now.snapshot.tables.values()
    assert after.digest != before.digest
    assert "search shop" in now.texts[GOOD.id].resolv
    doors.close()
