from pathlib import Path

import pytest

from sdd import options


def test_nothing_given_is_nothing_set() -> None:
    found = options.parse_args([], "1")
    assert (found.config, dict(found.settings), found.validate) == (None, {}, False)


def test_flags_are_settings_under_their_key_in_the_file() -> None:
    argv = "--config /c --data-root /d --exec-root /e --host unix:///a --host unix:///b"
    argv += " --metrics-addr off --store sqlite --log-level warn --debug --validate"
    found = options.parse_args(argv.split(), "1")
    assert found.config == Path("/c")
    assert found.validate
    assert dict(found.settings) == {
        "data-root": "/d",
        "exec-root": "/e",
        "hosts": ["unix:///a", "unix:///b"],
        "metrics-addr": "off",
        "store": "sqlite",
        "log-level": "warn",
        "debug": True,
    }


@pytest.mark.parametrize("argv", [["--bogus"], ["extra"], ["--data"], ["--log-level"]])
def test_a_wrong_flag_is_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse_args(argv, "1")
    assert caught.value.code == 2
    assert "usage: sdd" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse_args(["--version"], "1.2.3")
    assert (caught.value.code, capsys.readouterr().out) == (0, "sdd 1.2.3\n")
