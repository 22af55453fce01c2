from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed

from metrics.registry import Families, Registry
from sdd.model.ids import Revision
from sdd.model.progress import Backend, Failure, Outcome


def registry() -> Registry:
    return Registry("1.2.3", clock=lambda: 77.0)


async def page(
    one: Registry, accept: str = ""
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, _ = await one.render(accept)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parsed(text.decode())
        for sample in family.samples
    }


async def test_build_info_and_zeros_are_there_from_the_start() -> None:
    found = await page(registry())
    assert any(
        name == "sdd_build_info" and ("version", "1.2.3") in labels for name, labels in found
    )
    for kind in Backend:
        assert found["sdd_reconcile_passes_total", (("kind", kind),)] == 0


async def test_passes_are_counted_with_failures_and_repairs() -> None:
    one = registry()
    bad = Failure(subject="x", sentence="no")
    one.reconciled(Backend.NETNS, Outcome(revision=Revision(4), changed=3, repaired=2))
    one.reconciled(Backend.LB, Outcome(revision=Revision(4), failures=(bad, bad)))
    found = await page(one)
    netns, lb = (("kind", "netns"),), (("kind", "lb"),)
    assert found["sdd_reconcile_passes_total", netns] == 1
    assert found["sdd_reconcile_steps_total", netns] == 3
    assert found["sdd_reconcile_drift_total", netns] == 2
    assert found["sdd_reconcile_errors_total", netns] == 0
    assert found["sdd_reconcile_last_success_timestamp_seconds", netns] == 77
    assert found["sdd_reconcile_errors_total", lb] == 1
    assert found["sdd_reconcile_failures", lb] == 2
    assert found["sdd_reconcile_revision", lb] == 4
    assert found["sdd_reconcile_last_success_timestamp_seconds", lb] == 0


async def test_sources_are_read_at_every_scrape() -> None:
    one = registry()
    count = 0

    async def source() -> Families:
        nonlocal count
        count += 1
        family = GaugeMetricFamily("sdd_things", "Things.")
        family.add_metric((), count)
        return (family,)

    one.add(source)
    assert (await page(one))["sdd_things", ()] == 1
    assert (await page(one))["sdd_things", ()] == 2


async def test_the_accept_header_chooses_the_format() -> None:
    text, kind = await registry().render("application/openmetrics-text; version=1.0.0")
    assert "openmetrics" in kind
    assert text.endswith(b"# EOF\n")
    assert list(openmetrics(text.decode()))  # type: ignore[no-untyped-call]  # the library has no types there


async def test_two_registries_share_nothing() -> None:
    one, two = registry(), registry()
    one.command("network_create", "ok", 0.5)
    key = ("sdd_command_duration_seconds_count", (("action", "network_create"), ("result", "ok")))
    assert key in await page(one)
    assert key not in await page(two)
