"""What glibc does with memory that was freed. Another C library has no such calls."""

import ctypes

KEPT = 64 << 20
TOP, MAPPED = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD: mallopt(3)
MAPPED_MOST = 32 << 20


def keep() -> None:
    """Keeps up to 64 MiB of what is freed, for a process that takes and frees the same megabytes again and again: pages
    that were given back have to be cleared before they are had again."""
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(TOP, KEPT)
        option(MAPPED, MAPPED_MOST)


def give_back() -> None:
    """What was freed goes back to the system: glibc keeps it for good where anything behind it is in use. It takes some
    milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
