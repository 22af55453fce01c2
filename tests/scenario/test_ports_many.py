"""As many ports as one object may have: no more work a port than for a few."""

from sdd.control import ports, services
from sdd.control.ground import Draft
from sdd.model import request
from sdd.model.port import Mode
from tests.scenario.node import Node, node
from tests.scenario.test_ports import box, front, numbers, publish
from tests.support import work_of

MANY = request.Publish(published=20000, published_last=24095, target=20000, target_last=24095)
OTHERS = request.Publish(published=30000, published_last=34095, target=30000, target_last=34095)


async def test_twice_as_many_ports_are_twice_the_work() -> None:
    async with node() as one:
        net = await front(one)

        def publishing(count: int) -> int:
            last = 20000 + count - 1
            asked = request.Publish(
                published=20000, published_last=last, target=20000, target_last=last
            )
            ground = one.commands._ground(())
            book = ports.Book(ground, Draft(ground))
            return work_of(lambda: ports.publish(book, (services.KIND, "s"), [asked], [net]))

        once, twice = publishing(200), publishing(400)
        assert once < twice < 2.2 * once


async def test_4096_ports_come_move_and_go() -> None:
    async with node() as one:
        await front(one)
        assert len(numbers(await box(one, "wide", OTHERS))) == ports.MOST
        await made(one, MANY)
        some = tuple(request.Unpublish(published=each) for each in range(20000, 24096, 2))
        half = await one.commands.update_service("web", request.ServiceUpdate(publish_remove=some))
        assert [each.published for each in half.ports] == list(range(20001, 24096, 2))
        assert numbers(await box(one, "next", publish(20000))) == [20000]


async def made(one: Node, asked: request.Publish) -> None:
    await one.commands.create_service(request.ServiceCreate(name="web", network="front"))
    update = request.ServiceUpdate(publish_add=(asked,))
    after = await one.commands.update_service("web", update)
    assert len(after.ports) == ports.MOST
    assert {each.mode for each in after.ports} == {Mode.INGRESS}
