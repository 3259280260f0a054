"""A carousel as a file: the same batches as on a wire, in virtual time, to an end where the file may begin anew."""

from collections.abc import Iterator

from carousel.batch import Batch
from headend.cast.broadcaster import Broadcaster
from headend.cast.ssu import SsuFormat

__all__ = ["recorded"]


def recorded(broadcaster: Broadcaster, stream: SsuFormat, loops: int) -> Iterator[Batch]:
    """Yield what `loops` whole cycles of every release take, then what closes the loop; time begins at 0."""
    now = 0.0
    while broadcaster.cycles_done < loops:
        now = max(now, broadcaster.due(now))
        yield broadcaster.next_batch(now)
    yield from stream.closing()
