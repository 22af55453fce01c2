"""Which settings a table needs, and how a difference is found and ended."""

from pathlib import Path

from lb.kernel import ipvs_settings
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import WEB, virtual


def test_B9_14_hashing_schedulers_want_sloppy_tcp_others_do_not() -> None:
    assert ipvs_settings.wanted([virtual(WEB, scheduler=Scheduler.MH)])["sloppy_tcp"] == "1"
    assert ipvs_settings.wanted([virtual(WEB, scheduler=Scheduler.RR)])["sloppy_tcp"] == "0"


def test_what_differs_is_told_and_written_what_the_kernel_lacks_is_passed_over(
    tmp_path: Path,
) -> None:
    want = ipvs_settings.wanted([])
    (tmp_path / "conn_reuse_mode").write_text("0\n")
    (tmp_path / "sloppy_tcp").write_text("0\n")
    assert list(ipvs_settings.differing(want, tmp_path)) == [("conn_reuse_mode", "0")]
    ipvs_settings.write(want, tmp_path)
    assert list(ipvs_settings.differing(want, tmp_path)) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["conn_reuse_mode", "sloppy_tcp"]
