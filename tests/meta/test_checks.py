"""Every check of the references has a test that bears its number, or a reason why it has none."""

import re
from collections.abc import Iterator

import pytest

from tests.meta import checks, tracked

TESTS = tracked.ROOT / "tests"
STRANGERS = ("tests/kernel/test_netns_doors.py",)  # it counts checks of its own
REFUSALS = "tests/scenario/refusals/"  # one test for each value of a table
CASE = re.compile(r'^        "((?:C|peers_)[0-9]+_\w+)",$', re.MULTILINE)
FUNCTION = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
ONE = re.compile(r"(?<![A-Za-z0-9])([CX])([0-9]+)(?![0-9])")
PEERS = re.compile(r"peers((?:_[0-9]+)+)")
MANY = re.compile(r"(A8|B9)((?:_[0-9]+)+)(?:_to_([0-9]+))?(?![0-9])")


def names() -> Iterator[str]:
    """The names of all test functions."""
    for path in tracked.files("tests/*.py", "tests/**/*.py"):
        if tracked.name(path).startswith(STRANGERS):
            continue
        text = path.read_text()
        yield from FUNCTION.findall(text)
        if tracked.name(path).startswith(REFUSALS):
            yield from CASE.findall(text)


def borne(name: str) -> set[str]:
    """The numbers that a test's name bears."""
    words = name.removeprefix("test_")
    found = {f"{letter}{number}" for letter, number in ONE.findall(words.replace("_", " "))}
    for numbers in PEERS.findall(words):
        found |= {f"peers-{each}" for each in numbers.strip("_").split("_")}
    for of, numbers, last in MANY.findall(words):
        listed = [int(each) for each in numbers.strip("_").split("_")]
        found |= {f"{of}-{each}" for each in (*listed, *range(listed[-1], int(last or 0) + 1))}
    return found


@pytest.fixture(scope="module")
def shown() -> set[str]:
    return {each for name in names() for each in borne(name)}


def test_numbers_are_read_from_names() -> None:
    assert borne("test_C35_A8_13_ptr_names") == {"C35", "A8-13"}
    assert borne("test_A8_34_35_the_limit_is_between_512_and_1232") == {"A8-34", "A8-35"}
    assert borne("test_A8_41_to_43_every_seed") == {"A8-41", "A8-42", "A8-43"}
    assert borne("test_B9_01_B9_23_round_robin") == {"B9-1", "B9-23"}
    assert borne("test_A8_70_500_questions_at_once") >= {"A8-70"}
    assert borne("test_C2_C4_another_type") == {"C2", "C4"}
    assert borne("test_a_name_of_100_X") == set()
    assert borne("C155_peers_58_overlap") == {"C155", "peers-58"}


def test_every_check_has_a_test_or_a_reason(shown: set[str]) -> None:
    reasons = checks.NONE_OF_OURS.keys() | checks.OPEN.keys() | checks.MEASURED.keys()
    assert checks.IDS - shown - reasons == set()


def test_reasons_are_for_checks_and_for_one_thing(shown: set[str]) -> None:
    assert checks.NONE_OF_OURS.keys() & shown == set()
    assert checks.OPEN.keys() | checks.NONE_OF_OURS.keys() <= checks.IDS
    assert checks.OPEN.keys() & checks.NONE_OF_OURS.keys() == set()


@pytest.mark.parametrize(("check", "bench"), checks.MEASURED.items())
def test_what_is_measured_names_its_check(check: str, bench: str) -> None:
    assert check in (tracked.ROOT / bench).read_text()
