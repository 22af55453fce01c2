"""The closing line of ./run-tests can be believed."""

from pathlib import Path

import pytest

from tests.lab import benches, count, parts

REPORT = """<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1"
 failures="1" skipped="2" tests="6">
 <testcase name="a"/><testcase name="b"/>
 <testcase classname="tests.m" name="c"><failure message="no">
def test_c():
>  assert one == two
E  1 != 2

tests/m.py:21: AssertionError
/elsewhere/n.py:9: in call</failure></testcase>
 <testcase classname="tests.m" name="d"><error message="no"/></testcase>
 <testcase name="e"><skipped type="pytest.skip" message="no moon tonight"/></testcase>
 <testcase name="f"><skipped type="pytest.xfail" message="not built"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    return path


def test_each_kind_is_counted_and_unknown_skips_are_named(report: Path) -> None:
    found = count.read(report, ("no moon",))
    assert (found.passed, found.failed, found.skipped) == (2, 2, 2)
    assert found.unknown == ("not built",)
    assert str(found + found) == "4 passed, 4 failed, 4 skipped"
    assert not found.good


def test_a_failure_is_told_by_its_own_lines(report: Path) -> None:
    assert count.read(report, ()).failures == (
        "tests.m::c\n    >  assert one == two\n    E  1 != 2\n    tests/m.py:21: AssertionError",
        "tests.m::d",
    )


def test_with_no_reason_allowed_every_skip_is_unknown(report: Path) -> None:
    assert count.read(report, ()).unknown == ("no moon tonight", "not built")


@pytest.mark.parametrize(
    ("status", "failed"), [(0, 0), (parts.NO_TESTS, 0), (1, 1), (2, 1), (-9, 1)]
)
def test_an_exit_status_that_the_report_does_not_explain_fails(
    tmp_path: Path, status: int, failed: int
) -> None:
    path = tmp_path / "clean.xml"
    path.write_text(
        '<testsuites><testsuite tests="1" failures="0" errors="0" skipped="0"/></testsuites>'
    )
    assert parts.counted("unit", path, status).failed == failed


def test_no_report_fails(tmp_path: Path) -> None:
    assert not parts.counted("unit", tmp_path / "none.xml", 0).good


def test_a_crashed_benchmark_fails_and_rows_are_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tests" / "bench"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (folder / "bench_good.py").write_text(
        "import json, os\n"
        "row = dict(what='a', ours=1, peer=2, peer_name='p', unit='s', goal=1, better='lower',"
        " ratio=0.5, reached=True)\n"
        "open(os.environ['BENCH_JSON'], 'a').write(json.dumps(row))\n"
    )
    (folder / "bench_bad.py").write_text("raise SystemExit(3)")
    found = benches.run(tmp_path, tmp_path / "rows", short=True)
    assert found == count.FAILED
    output = capfd.readouterr().out
    assert "tests.bench.bench_bad failed" in output
    assert "reached" in output
