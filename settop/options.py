"""What is asked of a reception, and how it ends. Imports nothing dear: a box that boots must not wait for it."""

from enum import Enum

from carousel.console.endpoint import Endpoint
from carousel.frozen import Frozen

__all__ = ["Outcome", "ReceiveOptions"]


class Outcome(Enum):
    """How listening ended."""

    VERIFIED = "verified"
    UP_TO_DATE = "up to date"
    REFUSED = "refused"
    NOT_YET = "not yet"
    """Bulletins keep what is on the air from this box, for now."""
    NOTHING = "nothing"


class ReceiveOptions(Frozen):
    """What `settop receive` is asked for."""

    endpoint: Endpoint
    interface: str
    tsi: int
    is_ssu: bool = False
    """Take a DVB-SSU transport stream, not FLUTE."""
    is_rtp: bool = False
    oui: int | None = None
    """The maker whose updates to look for in a transport stream; None: the box's own."""
    source: str | None = None
    timeout_s: float = 60.0
    drop: float = 0.0
    drop_seed: int = 0
    use_gro: bool = True
    use_fec: bool = True
    workers: int = 2
    """How many threads hash and decode."""
    core: int | None = None
    """The processor core that the receiving thread keeps to, not those that work; None: any."""
    allows_older: bool = False
    """Whether an older version than the newest held may come, down to the security floor: for labs."""
    memory_bytes: int | None = None
    """What the process may have of anonymous memory; None: what it takes."""
