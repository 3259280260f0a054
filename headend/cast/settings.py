"""What an operator says about a carousel."""

from dataclasses import dataclass

__all__ = ["BroadcastSettings"]


@dataclass(frozen=True)
class BroadcastSettings:
    """Rate in bit/s of UDP payload; announcement interval; seed of the shuffle; time at `now` = 0.

    `lead_s` is how far ahead the sender may be: above 0 only where the kernel spaces the packets.
    """

    rate_bps: float
    announce_interval_s: float = 0.25
    seed: int = 0
    unix_offset_s: float = 0.0
    lead_s: float = 0.0
