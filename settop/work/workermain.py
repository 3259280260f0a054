"""What a worker process runs. It loads little: every megabyte here counts twice on a board."""

import mmap
import os
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

from settop.stitch.jobs import BlockWorkshop, TileJob

__all__ = ["work"]


def work(connection_descriptor: int, tiles_descriptor: int) -> None:
    """Run jobs from a connection until it closes: the main function of a worker process."""
    with suppress(OSError):  # waking up, it does not push the receiver aside, where that is allowed
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    connection = Connection(connection_descriptor)
    workshop = BlockWorkshop()
    files: dict[tuple[str, int], tuple[int, memoryview]] = {}
    tiles = memoryview(b"")
    while True:
        try:
            path, job = connection.recv()
        except (EOFError, ConnectionError, KeyboardInterrupt):
            return
        file = path, os.stat(path).st_ino  # a part file may have made room, and come again
        if file not in files:
            descriptor = os.open(path, os.O_RDWR)
            files[file] = descriptor, memoryview(mmap.mmap(descriptor, 0))
        descriptor, memory = files[file]
        if isinstance(job, TileJob):
            if len(tiles) <= job.memory_offset:
                tiles = memoryview(mmap.mmap(tiles_descriptor, 0))
            workshop.write_tile(job, tiles[job.memory_offset :], partial(os.pwrite, descriptor))
            connection.send(True)
        else:
            connection.send(workshop.run(job, memory))
