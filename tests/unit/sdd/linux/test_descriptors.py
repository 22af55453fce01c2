"""Descriptors 0 to 2 are open afterwards, whatever was closed, and what follows gets others."""

import subprocess
import sys
from pathlib import Path

import pytest

from sdd.linux import descriptors

ROOT = Path(__file__).parents[4]
CODE = """
import os, sys
from sdd.linux import descriptors
descriptors.fill(descriptors.Unread[sys.argv[1]])
mine = os.open(sys.argv[2], os.O_WRONLY)
print("for nobody")
print("for nobody", file=sys.stderr)
try:
    sys.stdout.flush()
    said = "lost"
except OSError as exc:
    said = exc.strerror
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
places = [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]
os.write(mine, " ".join((*places, str(mine > 2), said)).encode())
"""


@pytest.mark.parametrize(
    ("output", "said"),
    [(descriptors.Unread.LOST, "lost"), (descriptors.Unread.REFUSED, "Bad file descriptor")],
)
def test_what_was_closed_is_dev_null(tmp_path: Path, output: descriptors.Unread, said: str) -> None:
    out = tmp_path / "out"
    out.touch()
    command = [sys.executable, "-c", CODE, output.name, str(out)]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    done = subprocess.run(closed, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.read_text() == f"/dev/null /dev/null /dev/null True {said}"


def test_what_is_open_stays(capfd: pytest.CaptureFixture[str]) -> None:
    code = "from sdd.linux import descriptors as d; d.fill(d.Unread.LOST); print(input())"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, input="seen", text=True, check=True)
    assert capfd.readouterr().out == "seen\n"
