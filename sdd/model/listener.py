"""Where the API listens, as people write it: `unix:///PATH`, or `fd://` for sockets of systemd."""

from typing import Final

FD: Final = "fd://"
SCHEME: Final = "unix://"
LONGEST: Final = 107  # bytes of a socket's path: sun_path without its NUL (unix(7))


def fault(url: str) -> str:
    """What is wrong with `url`, as the end of a sentence; empty when a socket can be there."""
    if url == FD:
        return ""
    if not url.startswith(f"{SCHEME}/"):
        return "it does not start with unix:///"
    path = url.removeprefix(SCHEME)
    if path.endswith("/"):
        return "the path names a directory"
    if any(step in ("", ".", "..") for step in path.split("/")[1:]):
        return 'the path holds an empty step, "." or ".."'
    return too_long(path)


def too_long(path: str) -> str:
    """What is wrong with the length of a socket's path; empty when the kernel takes it."""
    size = len(path.encode("utf-8", "surrogateescape"))
    return f"the path has {size} bytes, a socket's has at most {LONGEST}" if size > LONGEST else ""
