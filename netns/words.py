"""Steps in a person's words. Pure."""

from netns import steps


def said(step: steps.Step) -> str:
    """The step in a person's words."""
    match step:
        case steps.MakeSpace(name=name):
            said = f"the namespace {name!r}"
        case steps.DropSpace(space=space):
            said = f"to remove the namespace {space!r}"
        case steps.AddLink(link=link) | steps.SetLink(link=link) | steps.AddChild(link=link):
            said = f"the link {link.name!r}"
        case steps.AddPair(outer=outer, inner=inner):
            said = f"the pair {outer.name!r} - {inner.name!r}"
        case steps.DropLink(name=name):
            said = f"to remove the link {name!r}"
        case steps.AddAddress(address=address):
            said = f"the address {address.interface} on {address.link!r}"
        case steps.DropAddress(address=address):
            said = f"to remove the address {address.interface} from {address.link!r}"
        case steps.AddRoute(route=route):
            said = f"the route to {route.destination} over {route.link!r}"
        case steps.DropRoute(route=route):
            said = f"to remove the route to {route.destination} over {route.link!r}"
        case steps.WriteTable():
            said = "the table inet sdd"
        case steps.Forward(version=version, on=on):
            said = f"to {'forward' if on else 'stop forwarding'} IPv{version}"
    return said
