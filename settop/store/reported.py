"""What this box has reported of which release: written before it is sent, so that nothing is said twice."""

import json
from typing import Any

from carousel.release.identity import ReleaseId
from carousel.report import ReportKind
from settop.store.disk import Disk

__all__ = ["Reported"]

NAME = "reported.json"
MOST_RELEASES = 16


class Reported:
    """Kinds of reports by release, the newest releases last."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def said(self, release: ReleaseId) -> frozenset[ReportKind]:
        """Return what was reported of a release."""
        return frozenset(ReportKind(kind) for kind in self._read().get(str(release), ()))

    def note(self, release: ReleaseId, kind: ReportKind) -> None:
        """Note that this is about to be reported. `OSError` where it can't be, and then nothing may be sent."""
        known = self._read()
        kinds = known.pop(str(release), [])
        known[str(release)] = sorted({*kinds, int(kind)})
        kept = dict([*known.items()][-MOST_RELEASES:])
        unfinished = NAME + ".new"
        self._disk.remove(unfinished)
        self._disk.write(unfinished, 0, json.dumps(kept).encode())
        self._disk.sync(unfinished)
        self._disk.rename(unfinished, NAME)
        self._disk.sync_names()

    def _read(self) -> dict[str, list[int]]:
        try:
            found: Any = json.loads(self._disk.read(NAME) or b"{}")
            return {str(name): [int(ReportKind(kind)) for kind in kinds] for name, kinds in found.items()}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            return {}
