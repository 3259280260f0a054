"""What a worker process runs. It loads little: every megabyte here counts twice on a board."""

import mmap
from multiprocessing.connection import Connection

from settop.blockjobs import BlockWorkshop

__all__ = ["work"]


def work(descriptor: int) -> None:
    """Run jobs from a connection until it closes: the main function of a worker process."""
    connection = Connection(descriptor)
    workshop = BlockWorkshop()
    maps: dict[str, memoryview] = {}
    while True:
        try:
            path, job = connection.recv()
        except (EOFError, ConnectionError, KeyboardInterrupt):
            return
        if path not in maps:
            with open(path, "r+b") as file:
                maps[path] = memoryview(mmap.mmap(file.fileno(), 0))
        connection.send(workshop.run(job, maps[path]))
