"""nftables through libnftables: one context in one namespace, one buffer = one transaction.

In: nft text. Out: nothing, JSON, or `errors.KernelRefused` with nft's own words. Use names in
rules (`iifname`, never `iif`): indexes would be looked up in the calling thread's namespace.
A context costs 0.2 ms and 130 KiB: open, use, close, rather than keep one per sandbox.
"""

import ctypes
import functools
import json
import os
import struct
from typing import Any, Self

from sdd import errors, fence
from sdd.linux import closing, netlink

LIBRARY = "libnftables.so.1"
PACKAGE = "libnftables1"
_HIGHEST = 1023 - 64  # libnftables waits by select(), which ends a process at FD_SETSIZE; a margin
_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
_GET_GENERATION = (10 << 8) | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
_NEW_GENERATION = (10 << 8) | 15
_GENERATION_ID = 1
_FAMILY_HEADER = struct.pack(">BBH", 0, 0, 0)  # struct nfgenmsg: any family, version 0


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as exc:
        raise errors.Unavailable(
            f"the library {LIBRARY} cannot be loaded",
            hint=f"install the Debian package {PACKAGE}",
            code="SDD-NFT-LIBRARY",
        ) from exc
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_free.argtypes = (ctypes.c_void_p,)
    library.nft_ctx_free.restype = None
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
    library.nft_ctx_output_set_flags.restype = None
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    return library


def _demand_low_descriptor() -> None:
    """Refuse what would abort the process; the margin is for other threads' descriptors."""
    try:
        lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        # Without one for its socket libnftables ends the process as well (netlink_init_error).
        raise errors.Exhausted(
            f"no file can be opened for nftables: {os.strerror(exc.errno or 0).lower()}",
            hint="raise the limits of open files of sdd (LimitNOFILE) and of the system",
            code="SDD-NFT-DESCRIPTORS",
        ) from exc
    os.close(lowest)
    if lowest > _HIGHEST:
        raise errors.Exhausted(
            f"too many files are open for nftables: the lowest free descriptor is {lowest}",
            hint="somebody holds many connections to sdd open; see: ls -l /proc/$(pidof sdd)/fd",
            code="SDD-NFT-DESCRIPTORS",
        )


class Nft:
    """A libnftables context of the namespace in which the constructor runs; one thread at a time.

    Later calls may come from any namespace. Raises `errors.Unavailable` without the library, and
    `errors.Exhausted` where it would get a descriptor that it cannot wait for.
    """

    def __init__(self) -> None:
        self._library = _library()
        _demand_low_descriptor()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise errors.Unavailable("libnftables gives no context: out of memory")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the context, in a moment; closing twice is fine."""
        context, self._context = self._context, None
        if context:
            closing.later(functools.partial(self._library.nft_ctx_free, context))

    def run(self, text: str) -> None:
        """Apply all of `text` or nothing of it; raises `errors.KernelRefused` with nft's words."""
        self._run(text, flags=0)

    def json(self, text: str) -> dict[str, Any]:
        """What `text` (a `list …` command) prints, as nft's JSON; raises like `run`."""
        printed = self._run(text, flags=_JSON)
        decoded: dict[str, Any] = json.loads(printed) if printed.strip() else {"nftables": []}
        return decoded

    def _run(self, text: str, *, flags: int) -> str:
        if self._context is None:
            raise errors.Defect("this nft context is closed")
        self._library.nft_ctx_output_set_flags(self._context, flags)
        with fence.writing():
            failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        # Reading a buffer empties it: both are read, so that nothing leaks into the next call.
        printed = self._library.nft_ctx_get_output_buffer(self._context) or b""
        complaint = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            words = " ".join(complaint.decode(errors="replace").split()) or "no reason given"
            raise errors.KernelRefused(f"nft refuses: {words}", code="SDD-NFT")
        return str(printed.decode(errors="replace"))


def generation(connection: netlink.Connection) -> int:
    """The number of the rule set in the connection's namespace: unchanged number, unchanged rules.

    `connection` is a `netlink.NETFILTER` one. The kernel counts up at every transaction of anyone.
    """
    request = netlink.Message(_GET_GENERATION, 0, _FAMILY_HEADER)
    (result,) = connection.request((request,))
    for reply in result.replies:
        if reply.kind == _NEW_GENERATION:
            found = netlink.attributes(reply.body[len(_FAMILY_HEADER) :])
            return int.from_bytes(found.get(_GENERATION_ID, b""), "big")
    raise errors.KernelRefused(f"the kernel tells no nft generation: {result}", code="SDD-NFT")
