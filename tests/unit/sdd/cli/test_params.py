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
