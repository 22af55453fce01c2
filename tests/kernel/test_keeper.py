"""Files bound over others stay so, whatever becomes of those below, while a program runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import eventually

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[2]
SOON_S = 60
START = """
import os, sys
from sdd.linux import keeper, libc
SET
libc.unshare_mounts()
target, source = sys.argv[1:3]
try:
    keeper.bind(target, source)
except FileNotFoundError:
    pass
keeper.start({target: source})
os.execvp(sys.argv[3], sys.argv[3:])
"""
TELL = 'while read -r _; do cat "$0" 2>&1; echo .; done'  # the file, whenever it is asked


class Place:
    """A file of the host, one of a sandbox to be put over it, and the programs that see them."""

    def __init__(self, folder: Path) -> None:
        (folder / "etc").mkdir()
        (folder / "own").mkdir()
        (folder / "run").mkdir()
        self.run = folder / "run"
        self.target = folder / "etc" / "resolv.conf"
        self.source = folder / "own" / "resolv.conf"
        self.target.write_text("host\n")
        self.source.write_text("own\n")
        self.started: list[subprocess.Popen[str]] = []

    def program(self, *command: str, settings: str = "") -> subprocess.Popen[str]:
        code = START.replace("SET", settings)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(self.target), str(self.source), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def reader(self, settings: str = "") -> subprocess.Popen[str]:
        """Tells what it sees each time it is asked."""
        return self.program("sh", "-c", TELL, str(self.target), settings=settings)

    def keepers(self) -> list[int]:
        return [int(each.name) for each in Path("/proc").glob("[0-9]*") if self._is(int(each.name))]

    def _is(self, pid: int) -> bool:
        try:
            named = Path(f"/proc/{pid}/comm").read_text() == "sdd-keeper\n"
            return named and str(self.target) in Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return False

    def keeper(self) -> int:
        """The only one. Until it is lean it may be about to execute itself, and is nobody then."""
        eventually(self.is_lean, SOON_S, "it is a small interpreter")
        (pid,) = self.keepers()
        return pid

    def is_lean(self) -> bool:
        return any("-I\0" in Path(f"/proc/{pid}/cmdline").read_text() for pid in self.keepers())


def seen(reader: subprocess.Popen[str]) -> str:
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    return "".join(iter(reader.stdout.readline, ".\n"))


def until_own(reader: subprocess.Popen[str]) -> None:
    eventually(lambda: seen(reader) == "own\n", SOON_S, "the program reads its own file")


def rename_over(file: Path, text: str = "host, later\n") -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.replace(file)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path)
    yield one
    for process in one.started:
        process.communicate(timeout=SOON_S)
    eventually(lambda: not one.keepers(), SOON_S, "no keeper is left")


def renamed(place: Place) -> None:
    rename_over(place.target)


def made_anew(place: Place) -> None:
    place.target.unlink()
    place.target.write_text("host, later\n")


def moved_away(place: Place) -> None:
    place.target.rename(place.target.with_name("old"))
    place.target.write_text("host, later\n")


def a_link(place: Place) -> None:
    (place.run / "stub").write_text("host, linked\n")
    link = place.target.with_name("link")
    link.symlink_to("../run/stub")
    link.replace(place.target)


def dangling(place: Place) -> None:
    place.target.unlink()
    place.target.symlink_to(place.run / "later" / "stub")
    (place.run / "later").mkdir()
    (place.run / "later" / "stub").write_text("host, linked\n")


def behind_the_link(place: Place) -> None:
    a_link(place)
    rename_over(place.run / "stub")


def folder_replaced(place: Place) -> None:
    dangling(place)
    (place.run / "later").rename(place.run / "gone")
    (place.run / "later").mkdir()
    (place.run / "later" / "stub").write_text("host, elsewhere\n")


CHANGES = (
    renamed,
    made_anew,
    moved_away,
    a_link,
    dangling,
    behind_the_link,
    folder_replaced,
)


@pytest.mark.parametrize("change", CHANGES)
def test_after_any_change_of_the_file_below_it_is_there_again(
    place: Place, change: Callable[[Place], None]
) -> None:
    reader = place.reader()
    assert seen(reader) == "own\n"
    change(place)
    until_own(reader)
    renamed(place)
    until_own(reader)
    assert place.target.read_text() == "host, later\n"  # nothing of it is seen outside


def test_a_thousand_changes_are_followed(place: Place) -> None:
    reader = place.reader()
    assert seen(reader) == "own\n"
    for _ in range(1000):
        rename_over(place.target)
    until_own(reader)

    def mounts() -> int:
        lines = Path(f"/proc/{reader.pid}/mountinfo").read_text().splitlines()
        return sum(str(place.target) in line.split()[4] for line in lines)

    eventually(lambda: mounts() == 1, SOON_S, "one covers it")


@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_that_is_not_there_at_first_is_covered_when_it_appears(
    place: Place, is_link: bool
) -> None:
    place.target.unlink()
    if is_link:
        place.target.symlink_to(place.run / "later" / "stub")
    reader = place.reader()
    assert "No such file" in seen(reader)
    (place.run / "later").mkdir()
    (place.run / "later" / "stub" if is_link else place.target).write_text("host\n")
    until_own(reader)


def test_a_source_that_is_made_anew_is_seen(place: Place) -> None:
    reader = place.reader()
    assert seen(reader) == "own\n"
    rename_over(place.source, "own, other\n")
    eventually(lambda: seen(reader) == "own, other\n", SOON_S, "the new one is seen")
    place.source.unlink()
    place.source.write_text("own\n")
    until_own(reader)


def test_it_becomes_small_and_goes_on(place: Place) -> None:
    reader = place.reader()
    pid = place.keeper()
    for change in CHANGES[:3]:
        change(place)
        until_own(reader)

    def kept() -> set[str]:
        return {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}

    wanted = {"/dev/null", f"/proc/{pid}/mountinfo", "anon_inode:[pidfd]"}
    eventually(lambda: kept() == wanted, SOON_S, "it keeps no more than it needs")
    assert place.keepers() == [pid]


def test_links_that_lead_elsewhere_are_followed(place: Place) -> None:
    a_link(place)
    reader = place.reader()
    until_own(reader)
    (place.run / "other").write_text("host, other\n")
    draft = place.target.with_name("draft")
    draft.symlink_to("../run/other")
    draft.replace(place.target)
    until_own(reader)


def test_a_file_that_is_replaced_all_the_time_is_covered_at_once(tmp_path: Path) -> None:
    """What a rename takes off for milliseconds is no file that is missing."""
    target, source = tmp_path / "resolv.conf", tmp_path / "own"
    target.write_text("host\n")
    source.write_text("own\n")
    code = f"""
import threading
from pathlib import Path
from sdd.linux import keeper, libc
libc.unshare_mounts()
keeper.HURRIES = 10_000  # not how long it takes on a busy machine, but that somebody waits at all
target, done = Path({str(target)!r}), threading.Event()
def replace():
    draft = target.with_name("draft")
    while not done.is_set():
        draft.write_text("host")
        draft.replace(target)
        done.wait(0.005)
replacing = threading.Thread(target=replace)
replacing.start()
try:
    for _ in range(300):
        keeper.put(str(target), {str(source)!r})
finally:
    done.set()
    replacing.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_program_does_not_know_of_it(place: Place) -> None:
    code = "import os\ntry: os.wait()\nexcept ChildProcessError: print('no child')"
    done = place.program(sys.executable, "-c", code)
    assert done.communicate(timeout=SOON_S)[0] == "no child\n"
    assert done.returncode == 0


def test_a_caller_that_ignores_the_ends_of_children_is_kept_as_well(place: Place) -> None:
    ignoring = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    reader = place.reader(settings=ignoring)
    assert seen(reader) == "own\n"
    rename_over(place.target)
    until_own(reader)


def test_ctrl_c_does_not_end_it_and_sigterm_does(place: Place) -> None:
    reader = place.program("sh", "-c", f"trap '' INT; {TELL}", str(place.target))
    assert seen(reader) == "own\n"
    pid = place.keeper()
    os.killpg(reader.pid, signal.SIGINT)
    rename_over(place.target)
    until_own(reader)
    assert place.keepers() == [pid]
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not place.keepers(), SOON_S, "it ended")
    assert seen(reader) == "own\n"


def test_a_daemon_keeps_its_files_and_no_pipe_stays_open(place: Place, tmp_path: Path) -> None:
    asked, told = tmp_path / "asked", tmp_path / "told"
    os.mkfifo(asked)
    os.mkfifo(told)
    loop = f"while read -r _ <{asked}; do cat {place.target} >{told}; done"
    daemon = f"setsid sh -c '{loop}' </dev/null >/dev/null 2>&1 &"
    first = place.program("sh", "-c", f"{daemon} echo $!")
    out, _ = first.communicate(timeout=SOON_S)  # the pipe ends with the program

    def answer() -> str:
        asked.write_text("\n")
        return told.read_text()

    try:
        assert answer() == "own\n"
        eventually(lambda: len(place.keepers()) == 1, SOON_S, "it is there")
        rename_over(place.target)
        eventually(lambda: answer() == "own\n", SOON_S, "the daemon reads its own file")
    finally:
        os.kill(int(out), signal.SIGKILL)
    eventually(lambda: not place.keepers(), SOON_S, "it ends with the last process")
