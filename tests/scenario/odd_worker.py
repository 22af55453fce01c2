"""A DNS worker of another release: says hello with the release in ODD_RELEASE, then waits."""

import argparse
import os
import socket
import time

from resolver import protocol
from resolver.control import launch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exec-root")
    parser.add_argument("--user")
    parser.parse_args()
    control = socket.socket(fileno=launch.CONTROL)
    control.listen()
    while True:
        session, _ = control.accept()
        hello = protocol.Inventory(
            release=int(os.environ["ODD_RELEASE"]),
            pid=1,  # a lie: it must not be believed
            revision=0,
            tables={},
            views={},
            listeners={},
        )
        session.send(protocol.encode(hello))
        time.sleep(1)


if __name__ == "__main__":
    main()
