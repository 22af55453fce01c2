from metrics import defects
from sdd.defects import OF_SDD, Defects, Unit
from tests.unit.metrics.test_dns import samples


async def test_every_unit_is_there_from_the_start_and_counted() -> None:
    found = Defects(lambda *_: None)
    read = defects.source(found.count, OF_SDD)
    assert samples(list(await read())) == {
        ("sdd_defects_total", ("object",)): 0,
        ("sdd_defects_total", ("pass",)): 0,
        ("sdd_defects_total", ("request",)): 0,
    }
    with found.holding(Unit.PASS):
        raise ValueError
    assert samples(list(await read()))["sdd_defects_total", ("pass",)] == 1
