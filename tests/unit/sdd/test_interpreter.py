"""How the interpreter is set is the same in a process that serves and in its benchmarks."""

import gc
import subprocess
import sys

FOUND = "import gc, sys; from sdd import interpreter; interpreter.tune(); print({})"


def found(expression: str) -> str:
    words = [sys.executable, "-c", FOUND.format(expression)]
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def test_garbage_is_looked_for_rarely_but_is() -> None:
    first, second, third = map(int, found("*gc.get_threshold()").split())
    assert first > gc.get_threshold()[0]
    assert second > 0
    assert third > 0
    assert found("gc.isenabled()") == "True"


def test_a_busy_thread_lets_others_have_the_interpreter_soon() -> None:
    assert float(found("sys.getswitchinterval()")) < 0.001
