from structlog.testing import capture_logs

from sdd.control import hearing


def test_what_cannot_be_heard_is_logged_and_kept() -> None:
    one = hearing.Hearing()
    assert one.why == ""
    with capture_logs() as told:
        one.lost("Operation not permitted")
    assert one.why == "Operation not permitted"
    assert [(each["event"], each["why"]) for each in told] == [("lb.no_refusals", one.why)]
