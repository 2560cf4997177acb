"""One thread a worker. Imports nothing heavy: it runs in a new process before numpy is loaded."""

import os

_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def limit_threads() -> None:
    """Keep this process to one thread: the processes are the parallelism."""
    os.environ.update(dict.fromkeys(_LIMITS, "1"))  # numpy reads them when it is first imported
    import cv2  # noqa: PLC0415

    cv2.setNumThreads(1)
