"""Which schedulers IPVS may be asked for."""

from pathlib import Path

from lb.kernel import ipvs_modules
from sdd.model.service import Scheduler


def test_those_that_lock_up_are_there_once_their_module_is(tmp_path: Path) -> None:
    builtin = tmp_path / "modules.builtin"
    builtin.write_text("kernel/net/netfilter/ipvs/ip_vs_lblcr.ko\n")
    loaded = tmp_path / "module"
    loaded.mkdir()
    paths = ipvs_modules.Places(loaded, builtin)
    assert ipvs_modules.is_there(Scheduler.RR, paths)
    assert not ipvs_modules.is_there(Scheduler.LBLC, paths)
    assert ipvs_modules.is_there(Scheduler.LBLCR, paths)
    (loaded / "ip_vs_lblc").mkdir()
    assert ipvs_modules.is_there(Scheduler.LBLC, paths)


def test_without_a_list_of_what_is_built_in_only_the_loaded_are_there(tmp_path: Path) -> None:
    paths = ipvs_modules.Places(tmp_path, tmp_path / "none")
    assert not ipvs_modules.is_there(Scheduler.LBLCR, paths)
    assert ipvs_modules.is_there(Scheduler.MH, paths)
