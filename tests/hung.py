"""A file system that never answers, as a network file system does whose server is away."""

import contextlib
import ctypes
import errno
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MNT_FORCE, _MNT_DETACH = 1, 2  # linux/fs.h
_INIT: Final = 26  # include/uapi/linux/fuse.h: the one request that is answered
_ASKED: Final = struct.Struct("<IIQQ")  # struct fuse_in_header, as far as it matters
_TOLD: Final = struct.Struct("<IiQ")  # struct fuse_out_header
_VERSION: Final = struct.Struct("<4I2H2I2H8I")  # struct fuse_init_out


class Hung:
    """Mounted at `path`."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._waiting: list[int] = []
        self._is_over = False
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0".encode()
        if self._libc.mount(b"hung", os.fsencode(path), b"fuse", 0, options):
            number = ctypes.get_errno()
            os.close(self._device)
            raise OSError(number, os.strerror(number), str(path))
        self._thread = threading.Thread(target=self._listen, name="hung", daemon=True)
        self._thread.start()

    @property
    def asked(self) -> int:
        """How many went there."""
        return len(self._waiting)

    @property
    def file(self) -> Path:
        """One in it, of which nobody hears anything."""
        return self.path / "file"

    def fail(self) -> None:
        """From now on all are told an error, as after `umount -f`; also those who wait."""
        self._is_over = True
        for unique in self._waiting:
            self._answer(unique, -errno.ENOTCONN)

    def end(self) -> None:
        """All who wait hear that it is gone."""
        if self._device >= 0:
            self._libc.umount2(os.fsencode(self.path), _MNT_FORCE | _MNT_DETACH)
            self._is_over = True
            for (
                unique
            ) in self._waiting:  # of what was unmounted before, who is in it holds the rest
                self._answer(unique, -errno.ENOTCONN)
            self._thread.join(10)
            os.close(self._device)
            self._device = -1

    def _listen(self) -> None:
        while True:
            try:
                asked = os.read(self._device, 1 << 17)
            except OSError:
                return
            _, what, unique, _ = _ASKED.unpack_from(asked)
            if what == _INIT:
                told = _VERSION.pack(7, 31, 1 << 16, 0, 12, 10, 1 << 16, 1, 0, 0, *[0] * 8)
                self._answer(unique, 0, told)
            elif self._is_over:
                self._answer(unique, -errno.ENOTCONN)
            else:
                self._waiting.append(unique)

    def _answer(self, unique: int, error: int, body: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # nobody waits for it any more
            os.write(self._device, _TOLD.pack(_TOLD.size + len(body), error, unique) + body)


@contextmanager
def hung(path: Path) -> Iterator[Hung]:
    """There until the end of the block, if not ended before."""
    made = Hung(path)
    try:
        yield made
    finally:
        made.end()
