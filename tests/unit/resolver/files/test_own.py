"""Files of sandboxes: only ours, only when they differ, never through a link."""

import contextlib
import dataclasses
import threading
from pathlib import Path

import pytest

from resolver.files import own
from sdd import errors
from sdd.model import ids, sandbox
from tests import resolver_states as states
from tests.support import largest_file

BOX = ids.SandboxId(states.identity("web"))
TEXTS = own.Texts(resolv="nameserver 127.0.0.11\n", hosts="127.0.0.1\tlocalhost\n", link="web")
LATER = own.Texts(resolv="nameserver 127.0.0.11\nsearch x\n", hosts="", link="web")


@pytest.fixture
def ours(tmp_path: Path) -> own.Files:
    return own.Files(tmp_path / "data", tmp_path / "netns")


def everything(root: Path) -> set[str]:
    return {str(each.relative_to(root)) for each in root.rglob("*")}


def test_files_and_links_are_made_once(ours: own.Files, tmp_path: Path) -> None:
    assert ours.write(BOX, TEXTS) == 4
    assert ours.write(BOX, TEXTS) == 0
    assert (tmp_path / "netns/web/resolv.conf").read_text() == TEXTS.resolv
    assert (tmp_path / "netns/web/hosts").readlink() == ours.path(BOX, "hosts")
    assert ours.path(BOX).stat().st_mode & 0o777 == 0o644


def test_R8_a_change_keeps_the_inode_that_runtimes_have_mounted(ours: own.Files) -> None:
    ours.write(BOX, TEXTS)
    before = ours.path(BOX).stat().st_ino
    assert ours.write(BOX, LATER) == 2
    assert ours.path(BOX).read_text() == LATER.resolv
    assert ours.path(BOX, "hosts").read_text() == ""
    assert ours.path(BOX).stat().st_ino == before


def test_A8_95_an_edited_file_is_never_written_again_until_it_is_deleted(ours: own.Files) -> None:
    ours.write(BOX, TEXTS)
    ours.path(BOX).write_text("mine\n")
    assert ours.write(BOX, LATER) == 1  # hosts alone
    assert ours.path(BOX).read_text() == "mine\n"
    assert ours.edited(BOX) == (str(ours.path(BOX)),)
    ours.path(BOX).unlink()
    ours.write(BOX, LATER)
    assert ours.path(BOX).read_text() == LATER.resolv
    assert ours.edited(BOX) == ()


def test_a_file_for_which_there_is_no_room_says_what_it_said_and_is_nobodys_edit(
    ours: own.Files,
) -> None:
    ours.write(BOX, TEXTS)
    more = dataclasses.replace(TEXTS, hosts=TEXTS.hosts + "10.1.0.2\tweb\n" * 1000)
    with largest_file(4096), pytest.raises(errors.KernelRefused) as refused:
        ours.write(BOX, more)
    assert refused.value.code == "SDD-DNS-FILE"
    assert ours.path(BOX, "hosts").read_text() == TEXTS.hosts
    assert ours.edited(BOX) == ()
    assert ours.write(BOX, more) == 1
    assert ours.path(BOX, "hosts").read_text() == more.hosts


def test_an_edited_hosts_for_which_there_is_no_room_keeps_the_edit(ours: own.Files) -> None:
    ours.write(BOX, TEXTS)
    file, edit = ours.path(BOX, "hosts"), TEXTS.hosts + "192.0.2.1\tmine\n"
    file.write_text(edit)
    more = dataclasses.replace(TEXTS, hosts=TEXTS.hosts + "10.1.0.2\tweb\n" * 1000)
    with largest_file(4096), pytest.raises(errors.KernelRefused):
        ours.write(BOX, more)
    assert file.read_text() == edit
    assert ours.write(BOX, more) == 1
    assert "192.0.2.1\tmine\n" in file.read_text()
    assert file.read_text().count("10.1.0.2\tweb\n") == 1000


def test_files_of_others_that_ip_netns_would_find_are_told(ours: own.Files, tmp_path: Path) -> None:
    box = states.box("web", "/run/sdd/netns/web")
    assert ours.foreign(box) == ()
    theirs = tmp_path / "netns/web/resolv.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("nameserver 192.0.2.1\n")
    ours.write(box.id, TEXTS)
    assert theirs.read_text() == "nameserver 192.0.2.1\n"
    assert ours.foreign(box) == (str(theirs),)
    theirs.unlink()
    theirs.symlink_to("/absent")
    assert ours.foreign(box) == (str(theirs),)
    theirs.unlink()
    ours.write(box.id, TEXTS)
    assert ours.foreign(box) == ()
    never = sandbox.ResolvConf(writing=sandbox.Writing.NEVER)
    theirs.unlink()
    theirs.touch()
    assert ours.foreign(dataclasses.replace(box, resolv_conf=never)) == ()


def test_a_file_that_says_what_we_want_is_ours_again(ours: own.Files) -> None:
    ours.write(BOX, TEXTS)
    ours.path(BOX).write_text("mine\n")
    ours.path(BOX).write_text(TEXTS.resolv)
    assert ours.edited(BOX) == ()


@pytest.mark.parametrize("left", [b"", b"nameserver 127.0", b"nameserver 127.0.0.11\nsear"])
def test_a_write_that_a_crash_cut_off_is_done_again(ours: own.Files, left: bytes) -> None:
    ours.write(BOX, TEXTS)
    note = ours.path(BOX, "resolv.conf" + own.HASH)
    note.write_text("writing " + note.read_text())
    ours.path(BOX).write_bytes(left)
    ours.write(BOX, LATER)
    assert ours.path(BOX).read_text() == LATER.resolv


def test_A8_91_a_link_in_the_place_of_a_file_is_not_followed(
    ours: own.Files, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    ours.write(BOX, TEXTS)
    ours.path(BOX).unlink()
    ours.path(BOX).symlink_to(victim)
    ours.path(BOX, "resolv.conf.hash").unlink()
    ours.path(BOX, "resolv.conf.hash").symlink_to(victim)
    ours.write(BOX, LATER)
    assert victim.read_text() == "precious"


def test_A8_91_a_link_in_the_place_of_the_directory_is_refused(
    ours: own.Files, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "data/sandboxes").mkdir(parents=True)
    (tmp_path / "data/sandboxes" / BOX).symlink_to(elsewhere)
    with pytest.raises(errors.KernelRefused, match="cannot be written"):
        ours.write(BOX, TEXTS)
    assert ours.keep({}) == 0
    assert everything(elsewhere) == set()


def test_removal_leaves_nothing_of_ours(ours: own.Files, tmp_path: Path) -> None:
    other = ids.SandboxId(states.identity("other"))
    ours.write(BOX, TEXTS)
    ours.write(other, own.Texts(resolv="", hosts="", link="other"))
    assert ours.keep({other: "other"}) == 8
    assert everything(tmp_path / "netns") == {"other", "other/hosts", "other/resolv.conf"}
    assert ours.keep({}) > 0
    assert everything(tmp_path) == {"data", "data/sandboxes", "netns"}
    assert ours.keep({}) == 0


def test_a_sandbox_under_another_name_loses_its_old_links(ours: own.Files, tmp_path: Path) -> None:
    ours.write(BOX, TEXTS)
    ours.keep({BOX: "renamed"})
    assert not (tmp_path / "netns/web").exists()
    assert ours.path(BOX).exists()


def test_what_others_put_beside_ours_stays(ours: own.Files, tmp_path: Path) -> None:
    (tmp_path / "netns/web").mkdir(parents=True)
    (tmp_path / "netns/web/resolv.conf").write_text("theirs\n")
    (tmp_path / "netns/web/nsswitch.conf").write_text("theirs\n")
    ours.write(BOX, TEXTS)
    (tmp_path / "data/sandboxes" / BOX / "note").write_text("theirs\n")
    ours.keep({})
    assert everything(tmp_path / "netns") == {"web", "web/resolv.conf", "web/nsswitch.conf"}
    assert (tmp_path / "netns/web/resolv.conf").read_text() == "theirs\n"
    assert (tmp_path / "data/sandboxes" / BOX / "note").exists()
    assert not ours.path(BOX).exists()


def test_links_of_a_daemon_that_is_no_more_are_replaced_of_a_living_one_not(
    tmp_path: Path,
) -> None:
    first = own.Files(tmp_path / "first", tmp_path / "netns")
    second = own.Files(tmp_path / "second", tmp_path / "netns")
    first.write(BOX, TEXTS)
    assert second.write(BOX, TEXTS) == 2  # its two files, no link
    assert second.keep({BOX: "web"}) == 0
    for each in sorted((tmp_path / "first").rglob("*"), reverse=True):
        each.unlink() if each.is_file() else each.rmdir()
    assert second.write(BOX, TEXTS) == 2
    assert (tmp_path / "netns/web/hosts").readlink() == second.path(BOX, "hosts")


def test_a_link_in_the_place_of_the_netns_directory_is_left_alone(
    ours: own.Files, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "netns").mkdir()
    (tmp_path / "netns/web").symlink_to(tmp_path / "etc")
    assert ours.write(BOX, TEXTS) == 2
    ours.keep({})
    assert everything(tmp_path / "etc") == set()


@pytest.mark.parametrize("name", ["../etc", "..", "."])
def test_a_name_that_leads_out_is_a_defect(ours: own.Files, name: str) -> None:
    with pytest.raises(errors.Defect):
        ours.write(BOX, own.Texts(resolv="", hosts="", link=name))


def test_A8_92_links_swapped_in_while_writing_never_lead_out(
    ours: own.Files, tmp_path: Path
) -> None:
    """While somebody puts links to a victim in the places of file and folder, 10 000 times."""
    victim = tmp_path / "host"
    victim.mkdir()
    for name in ("resolv.conf", "hosts"):
        (victim / name).write_text("precious")
    ours.write(BOX, TEXTS)
    swaps = threading.Thread(target=swapping, args=(ours.path(BOX), victim, 10_000))
    swaps.start()
    written = 0
    while swaps.is_alive():
        with contextlib.suppress(errors.KernelRefused):
            written += ours.write(BOX, LATER if written % 2 else TEXTS)
    swaps.join()
    assert written
    assert {each.read_text() for each in victim.iterdir()} == {"precious"}
    assert len(list(victim.iterdir())) == 2


def swapping(file: Path, victim: Path, times: int) -> None:
    folder, aside = file.parent, file.parent.with_name("aside")
    for _ in range(times):
        with contextlib.suppress(OSError):
            file.unlink()
            file.symlink_to(victim / file.name)
        with contextlib.suppress(OSError):
            folder.rename(aside)
            folder.symlink_to(victim)
        with contextlib.suppress(OSError):
            folder.unlink()
            aside.rename(folder)
        with contextlib.suppress(OSError):
            file.unlink()


@pytest.mark.parametrize("name", ["hosts", "resolv.conf"])
def test_a_directory_in_the_place_of_a_file_stays_and_is_told(ours: own.Files, name: str) -> None:
    ours.path(BOX).parent.mkdir(parents=True)
    ours.path(BOX, name).mkdir()
    before = len(tuple(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        ours.write(BOX, LATER)
        assert ours.path(BOX, name).is_dir()
        assert ours.edited(BOX) == (str(ours.path(BOX, name)),)
    assert len(tuple(Path("/proc/self/fd").iterdir())) <= before


def test_what_the_kernel_refuses_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no directory")
    with pytest.raises(errors.KernelRefused) as refused:
        own.Files(tmp_path / "data", tmp_path / "netns").write(BOX, TEXTS)
    assert "Errno" not in refused.value.sentence
    assert str(tmp_path / "data") in refused.value.sentence


def with_hosts(*lines: str) -> own.Texts:
    return dataclasses.replace(
        TEXTS, hosts="".join(f"{line}\n" for line in ("127.0.0.1\tlocalhost", *lines))
    )


def test_R14_own_addresses_are_kept_up_in_hosts_that_somebody_edited(ours: own.Files) -> None:
    path = ours.path(BOX, "hosts")
    ours.write(BOX, with_hosts("10.1.0.2\tcl"))
    inode = path.stat().st_ino
    with path.open("a") as file:
        file.write("1.2.3.4 app\n")
    assert ours.write(BOX, with_hosts("10.1.0.2\tcl")) == 0
    for _ in range(2):  # and nothing is left to do
        changed = ours.write(BOX, with_hosts("10.2.0.3\tcl"))
        text = "127.0.0.1\tlocalhost\n1.2.3.4 app\n10.2.0.3\tcl\n"
        assert (path.read_text(), path.stat().st_ino) == (text, inode)
        assert ours.edited(BOX) == (str(path),)
    assert changed == 0
    assert ours.write(BOX, with_hosts()) == 1
    assert path.read_text() == "127.0.0.1\tlocalhost\n1.2.3.4 app\n"
    path.write_text(with_hosts().hosts)  # the edit is undone
    assert ours.write(BOX, with_hosts()) == 0
    assert ours.edited(BOX) == ()
    assert ours.write(BOX, TEXTS) == 0


def test_R14_what_an_older_release_wrote_is_kept_up_once_it_was_seen(ours: own.Files) -> None:
    ours.write(BOX, with_hosts("10.1.0.2\tcl"))
    path = ours.path(BOX, "hosts")
    path.with_name("hosts.last").unlink()
    assert ours.write(BOX, with_hosts("10.1.0.2\tcl")) == 0
    with path.open("a") as file:
        file.write("1.2.3.4 app\n")
    assert ours.write(BOX, with_hosts()) == 1
    assert "10.1.0.2" not in path.read_text()
    path.with_name("hosts.last").unlink()
    assert ours.write(BOX, with_hosts("10.9.0.9\tcl")) == 0  # nobody knows what was ours
