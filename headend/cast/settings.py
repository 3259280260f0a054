"""What an operator says about a carousel."""

from dataclasses import dataclass

__all__ = ["BroadcastSettings"]


@dataclass(frozen=True)
class BroadcastSettings:
    """Rate in bit/s of UDP payload; announcement interval; seed of the shuffle; time at `now` = 0.

    `lead_s` is how far ahead the sender may be: above 0 only where the kernel spaces the packets. `begin_share` is the
    part of its first cycle that each release leaves out. FDT instances are numbered in steps of `fdt_step`, from a
    number that leaves `fdt_rest` divided by it.
    """

    rate_bps: float
    announce_interval_s: float = 0.25
    seed: int = 0
    unix_offset_s: float = 0.0
    lead_s: float = 0.0
    begin_share: float = 0.0
    fdt_step: int = 1
    fdt_rest: int = 0
