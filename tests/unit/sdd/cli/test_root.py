"""The command line as a whole: errors, exit codes, help without loading the nouns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdd.cli import root
from sdd.cli.settings import DEFAULT_HOST

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(root.__file__).parents[2])}


def sdctl(*argv: str, **extra: str) -> subprocess.CompletedProcess[str]:
    code = "from sdd.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | extra,
    )


def test_no_daemon_is_exit_69(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["-H", "unix:///run/nobody/sdd.sock", "network", "ls"]) == 69
    text = capsys.readouterr().err
    assert "/run/nobody/sdd.sock" in text
    assert "systemctl start sdd" in text


def test_the_environment_names_the_daemon() -> None:
    done = sdctl("network", "ls", SDD_HOST="unix:///run/other/s")
    assert (done.returncode, "/run/other/s" in done.stderr) == (69, True)
    done = sdctl("network", "ls", "-H", "unix:///run/flag/s", SDD_HOST="unix:///run/other/s")
    assert "/run/flag/s" in done.stderr
    assert DEFAULT_HOST.removeprefix("unix://") in sdctl("network", "ls").stderr


@pytest.mark.parametrize("host", ["tcp://1.2.3.4", "/run/sdd.sock", "unix://relative", ""])
def test_a_wrong_address_is_exit_2(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["-H", host, "network", "ls"]) == 2
    assert "unix:///" in capsys.readouterr().err


def test_a_mistyped_noun_is_helped(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["netwrok", "ls"]) == 2
    assert '"network"' in capsys.readouterr().err
    assert root.run(["zzz"]) == 2
    assert "one of: network, sandbox" in capsys.readouterr().err


def test_what_is_promised_but_not_built_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    from sdd.cli.command import PLANNED

    for words in PLANNED:
        code = root.run(words.split()[1:])
        text = capsys.readouterr().err
        assert (code, "is not built yet [SDD-NOTBUILT]" in text) == (1, True), words


def test_no_command_shows_the_help_and_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([]) == 2
    assert "Usage: sdctl" in capsys.readouterr().err


def test_every_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for name in root.COMMANDS:
        assert root.run([name, "--help"]) == 0
        assert f"Usage: sdctl {name}" in capsys.readouterr().out


def test_examples_of_a_help_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["dns", "record", "add", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "\n    sdctl dns record add lab '*.apps' CNAME web\n" in shown
    assert "\\b" not in shown


def test_help_loads_no_noun_and_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from sdd.cli import root\n"
        "assert root.run(['--help']) == 0\n"
        "heavy = {'asyncio', 'aiohttp', 'msgspec', 'structlog', 'sdd.cli.network', 'sdd.model'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["completion", shell]) == 0
    assert "_SDCTL_COMPLETE" in capsys.readouterr().out


def test_the_shell_gets_completions() -> None:
    done = sdctl(_SDCTL_COMPLETE="bash_complete", COMP_WORDS="sdctl net", COMP_CWORD="1")
    assert done.stdout == "plain,network\n"


def test_a_closed_pipe_is_no_error() -> None:
    script = f"{sys.executable} -c 'from sdd.cli import main; main()' completion bash | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [("--help",), ("completion", "bash")])
def test_output_that_cannot_be_written_is_one_sentence(words: tuple[str, ...]) -> None:
    code = "from sdd.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert "cannot be written: No space left on device [SDD-CLI-OUTPUT]" in first
    assert "may have been done" in hint


def closing(*words: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """sdctl, started by a shell that closed descriptors."""
    code = "from sdd.cli import main; main()"
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )


def test_output_that_was_closed_is_an_error_for_who_has_something_to_say() -> None:
    done = closing("--help", redirection=">&-")
    assert done.returncode == 1
    assert "cannot be written: Bad file descriptor [SDD-CLI-OUTPUT]" in done.stderr
    assert closing("--help", redirection="<&-").returncode == 0


def test_without_a_place_for_errors_the_exit_code_still_tells() -> None:
    done = closing("no-such-noun", redirection=">&- 2>&- <&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
