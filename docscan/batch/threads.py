"""One thread a worker, and memory that it keeps. It runs before numpy is loaded, and imports nothing heavy."""

import ctypes
import os

_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES, _LARGEST_BYTES = 256 << 20, 32 << 20  # glibc takes no larger value for the second


def limit_threads() -> None:
    """Keep this process to one thread: the processes are the parallelism."""
    os.environ.update(dict.fromkeys(_LIMITS, "1"))  # numpy reads them when it is first imported
    _keep_memory()
    import cv2  # noqa: PLC0415

    cv2.setNumThreads(1)


def _keep_memory() -> None:
    """Have glibc keep what a page took for the next: to give it back and fetch it again costs 6 of 80 ms.

    No other library of C has these options, or needs them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
