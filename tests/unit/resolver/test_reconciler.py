"""What becomes of a pass when one sandbox's files cannot be written."""

from dataclasses import replace
from pathlib import Path

from resolver import reconciler
from resolver.control import launch
from resolver.desired import NOTHING, desired
from resolver.files import own
from resolver.files.upstreams import DaemonDns
from sdd.linux import guests, namespaces
from sdd.model import ids
from sdd.model.look import EVERYWHERE
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
