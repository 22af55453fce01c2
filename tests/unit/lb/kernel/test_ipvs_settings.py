"""Which settings a table needs, and how a difference is found and ended."""

from pathlib import Path

import pytest

from lb.kernel import ipvs_settings
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import WEB, virtual


def test_B9_14_hashing_schedulers_want_sloppy_tcp_others_do_not() -> None:
    assert ipvs_settings.wanted([virtual(WEB, scheduler=Scheduler.MH)])["vs/sloppy_tcp"] == "1"
    assert ipvs_settings.wanted([virtual(WEB, scheduler=Scheduler.RR)])["vs/sloppy_tcp"] == "0"


def test_what_differs_is_told_and_written_what_the_kernel_lacks_is_passed_over(
    tmp_path: Path,
) -> None:
    want = ipvs_settings.wanted([])
    (tmp_path / "vs").mkdir()
    (tmp_path / "vs" / "conn_reuse_mode").write_text("0\n")
    (tmp_path / "vs" / "sloppy_tcp").write_text("0\n")
    assert list(ipvs_settings.differing(want, tmp_path)) == [("vs/conn_reuse_mode", "0")]
    ipvs_settings.write(want, tmp_path)
    assert list(ipvs_settings.differing(want, tmp_path)) == []
    there = sorted(each.name for each in (tmp_path / "vs").iterdir())
    assert there == ["conn_reuse_mode", "sloppy_tcp"]


@pytest.mark.parametrize(("found", "left"), [("1", "2"), ("2", "2"), ("0", "0")])
def test_timestamps_lose_their_offsets_where_there_are_any_and_only_in_sandboxes_of_ours(
    tmp_path: Path, found: str, left: str
) -> None:
    stamps = tmp_path / "tcp_timestamps"
    stamps.write_text(f"{found}\n")
    ipvs_settings.write(ipvs_settings.wanted([]), tmp_path)
    assert stamps.read_text().strip() == found
    ipvs_settings.write(ipvs_settings.wanted([], is_ours=True), tmp_path)
    assert stamps.read_text().strip() == left
    assert list(ipvs_settings.differing(ipvs_settings.wanted([], is_ours=True), tmp_path)) == []
