from metrics import bounded


def test_what_does_not_fit_is_counted_and_the_same_ones_stay() -> None:
    rows = [((f"n{number:05}",), float(number)) for number in range(bounded.MOST_SERIES + 7)]
    shown = bounded.gauge("sdd_x", "X.", ("name",), reversed(rows))
    assert [sample.labels["name"] for sample in shown.samples] == [
        values[0] for values, _ in rows[: bounded.MOST_SERIES]
    ]
    counted = bounded.left_out([("sdd_x", len(rows)), ("sdd_y", 3)])
    assert {s.labels["family"]: s.value for s in counted.samples} == {"sdd_x": 7, "sdd_y": 0}
