from pathlib import Path

import pytest

from sdd.cli.probes import kernel
from sdd.cli.probes.finding import Verdict


def facility(*, needed: bool) -> kernel.Facility:
    return kernel.Facility("kernel.x", "thing", needed, "why", "now", "ip_vs", lambda: None)


def test_what_works_passes(tmp_path: Path) -> None:
    found = kernel.judged(facility(needed=True), None, "6.1", tmp_path)
    assert (found.verdict, found.says) == (Verdict.PASS, "thing works")


def test_what_is_needed_fails_and_the_rest_warns(tmp_path: Path) -> None:
    for needed, verdict in ((True, Verdict.FAIL), (False, Verdict.WARN)):
        found = kernel.judged(facility(needed=needed), "no such device", "6.1", tmp_path)
        assert found.verdict is verdict
        assert "no such device" in found.says
        assert (found.why, found.now) == ("why", "now")


def test_advice_tells_three_cases_apart(tmp_path: Path) -> None:
    assert "reboot" in kernel.advice("ip_vs", "6.1", tmp_path)[0]
    folder = tmp_path / "6.1"
    folder.mkdir()
    (folder / "modules.dep").write_text("kernel/net/netfilter/ipvs/ip_vs.ko: x.ko\n")
    assert kernel.advice("ip_vs", "6.1", tmp_path)[1] == ("modprobe ip_vs",)
    text, commands = kernel.advice("ipvlan", "6.1", tmp_path)
    assert ("use a kernel that has ipvlan" in text, commands) == (True, ())
    (folder / "modules.builtin").write_text("kernel/drivers/net/ipvlan/ipvlan.ko\n")
    assert kernel.advice("ipvlan", "6.1", tmp_path)[1] == ("modprobe ipvlan",)


def test_without_root_it_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (found,) = kernel.findings()
    assert found.verdict is Verdict.SKIP
    assert "sudo" in found.fix


def test_without_a_namespace_it_is_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(kernel, "_in_scratch", lambda: None)
    (found,) = kernel.findings()
    assert (found.name, found.verdict) == ("kernel.netns", Verdict.FAIL)
