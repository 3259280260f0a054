"""Where shards run: in local processes, or on a pool of workstations by Dask. One function, the same results.

A shard is a pure function of (scenario, seed, shard); results are handed back in the order of the shards, whatever the
order in which they were done. So any number of workers, on any machines, some of them killed, give one result.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib import import_module, metadata
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from carousel.errors import OperatorError

__all__ = ["Run", "dask_client", "run_on_dask", "run_on_processes"]

Shard = TypeVar("Shard")
Result = TypeVar("Result")
Run = Callable[[Callable[[Any], Any], Sequence[Any], Callable[[int, Any], None]], None]
"""Runs a function over shards; calls back with (index, result) as each is done."""
CONNECT_S = 10
MODULES = ("bench.fleet.run", "scipy")


def run_on_processes(workers: int) -> Run:
    """Return what runs shards in this many processes; with one, in this one."""

    def run(function: Callable[[Shard], Result], shards: Sequence[Shard], done: Callable[[int, Result], None]) -> None:
        if workers == 1 or len(shards) == 1:
            for index, shard in enumerate(shards):
                done(index, function(shard))
            return
        # Not by forking: the parent may have threads. A server that has imported what shards need forks all of them.
        context = get_context("forkserver")
        context.set_forkserver_preload([function.__module__])
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
            futures = {pool.submit(function, shard): index for index, shard in enumerate(shards)}
            try:
                for future in as_completed(futures):
                    done(futures[future], future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    return run


def _end_with_parent() -> None:
    """Let this worker end with who runs the fleet, however that ends: nobody would take its result."""
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def dask_client(address: str) -> Iterator[Any]:
    """Connect to a Dask scheduler whose workers all have this package; `OperatorError` says what is missing."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise OperatorError("--dask needs the package `distributed`: pip install 'bootcast[bench]'") from None
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}); start one by `dask scheduler`, and "
            f"workers by `dask worker {address}`"
        ) from None
    try:
        _check_workers(client, address)
        yield client
    finally:
        client.close()


def _check_workers(client: Any, address: str) -> None:
    """Refuse a pool where a worker would compute something else, or nothing."""
    if not client.scheduler_info(n_workers=-1)["workers"]:
        raise OperatorError(f"the Dask scheduler at {address} has no workers; start some: dask worker {address}")
    ours = metadata.version("bootcast")
    found = client.run(metadata.version, "bootcast", on_error="return")
    for worker, version in found.items():
        if isinstance(version, Exception):
            raise OperatorError(f"worker {worker} has no bootcast; install it there: pip install 'bootcast[bench]'")
        if version != ours:
            raise OperatorError(f"worker {worker} has bootcast {version}, here it is {ours}; results would differ")
    for module in MODULES:
        for worker, result in client.run(_can_import, module, on_error="return").items():
            if isinstance(result, Exception) or result is not True:
                raise OperatorError(f"worker {worker} lacks {module}; install there: pip install 'bootcast[bench]'")


def _can_import(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def run_on_dask(client: Any) -> Run:
    """Return what runs shards on a Dask pool; a shard whose worker dies is run again elsewhere."""
    distributed: Any = import_module("distributed")

    def run(function: Callable[[Shard], Result], shards: Sequence[Shard], done: Callable[[int, Result], None]) -> None:
        futures = client.map(function, shards, pure=False, retries=2)
        numbers = {future.key: index for index, future in enumerate(futures)}
        try:
            for future, result in distributed.as_completed(futures, with_results=True, loop=client.loop):
                done(numbers[future.key], result)
        except distributed.KilledWorker as error:
            raise OperatorError(
                f"a shard took one worker after the other down with it; the last: {error.last_worker}"
            ) from None
        finally:
            client.cancel(futures)

    return run
