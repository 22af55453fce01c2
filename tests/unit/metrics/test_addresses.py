from metrics import addresses


async def test_each_subnet_has_two_gauges() -> None:
    row = addresses.Row(network="lab", subnet="10.0.0.0/24", in_use=3, free=253)
    found = {
        sample.name: (sample.labels, sample.value)
        for family in await addresses.source(lambda: (row,))()
        for sample in family.samples
    }
    labels = {"network": "lab", "subnet": "10.0.0.0/24"}
    assert found == {
        "sdd_network_addresses_used": (labels, 3),
        "sdd_network_addresses_free": (labels, 253),
    }
