"""A process whose workers sleep: `python -m tests.experiments.orphaning WORKERS`; prints what they are."""

import os
import signal
import sys
import time
from concurrent.futures import as_completed

from dina_lrm.experiments.pool import worker_pool


def job(seconds: float) -> None:
    # In one write: an unbuffered print (PYTHONUNBUFFERED) writes the number and the end of its line apart, and what two
    # workers write mixes
    os.write(sys.stdout.fileno(), f"{os.getpid()}\n".encode())
    time.sleep(seconds)


def main(workers: int) -> None:
    with worker_pool(workers) as pool:
        for done in as_completed([pool.submit(job, 600.0) for _ in range(workers)]):
            done.result()


if __name__ == "__main__":
    # A shell that starts the tests in the background has its children ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(int(sys.argv[1]))
