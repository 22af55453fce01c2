"""What a kernel had to send once more: what was lost shows there, however fast the machine is."""

from tests.e2e.appliance import run


def asked_again(where: str) -> int:
    """How often the kernel of a namespace had to ask for a connection once more."""
    text = run("ip", "netns", "exec", where, "cat", "/proc/net/netstat").stdout
    head, values = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    return int(values[head.index("TCPSynRetrans")])
