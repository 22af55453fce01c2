"""A DNS worker of another release: says hello with the release in the file `release`, then waits."""

import argparse
import socket
import time
from pathlib import Path

from resolver import protocol
from resolver.control import launch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exec-root", type=Path)
    parser.add_argument("--user")
    asked = parser.parse_args()
    control = socket.socket(fileno=launch.CONTROL)
    control.listen()
    while True:
        session, _ = control.accept()
        hello = protocol.Inventory(
            release=int(asked.exec_root.joinpath("release").read_text()),
            pid=1,  # a lie: it must not be believed
            revision=0,
            tables={},
            views={},
            listeners={},
        )
        session.send(protocol.encode(hello))
        time.sleep(1)  # it lives on until it is killed: that is what is tested


if __name__ == "__main__":
    main()
