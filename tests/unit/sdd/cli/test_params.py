import click
import pytest

from sdd.cli import params


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.5s", 0.5), ("2s", 2), ("1m", 60), ("1m30s", 90), ("250ms", 0.25), ("1h", 3600), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert params.DURATION.convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "-1s", "1d", "1s2", "nans", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        params.DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("number", "text", "words"),
    [
        (params.Number(0, 65535), "x", '"x" is not a whole number from 0 to 65535'),
        (params.Number(0, 65535), "70000", '"70000" is not a whole number from 0 to 65535'),
        (params.Number(0, 65535), "-1", '"-1" is not a whole number from 0 to 65535'),
        (params.Number(min=1), "0", '"0" is not a whole number, 1 or more'),
        (params.Number(), "1.5", '"1.5" is not a whole number'),
    ],
)
def test_what_is_no_number_is_told_what_is(number: params.Number, text: str, words: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        number.convert(text, None, None)
    assert caught.value.message == words


def test_numbers_at_their_bounds() -> None:
    assert [params.Number(0, 9).convert(each, None, None) for each in ("0", "9")] == [0, 9]


def test_attachments_take_all_keys() -> None:
    text = (
        "lab,ip=10.0.0.1,ip6=fd00::1,alias=a,alias=b,mac=02:00:00:00:00:01,gw-priority=-3,"
        'driver-opt=k=v,"driver-opt=l=a=1,b=2"'
    )
    assert params.ATTACHMENT.convert(text, None, None) == {
        "network": "lab",
        "ip": "10.0.0.1",
        "ip6": "fd00::1",
        "aliases": ["a", "b"],
        "mac": "02:00:00:00:00:01",
        "gw_priority": -3,
        "driver_opts": {"k": "v", "l": "a=1,b=2"},
    }
    assert params.ATTACHMENT.convert("name=lab", None, None)["network"] == "lab"
