"""What can go wrong between the flasher and a board: each with a kind to count by and a sentence to act on."""

from carousel.errors import OperatorError
from settop.flasher.frames import Refusal

__all__ = ["FlashError", "in_words", "refusal_of"]


class FlashError(OperatorError):
    """Flashing failed. `kind` names how, for machines."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def refusal_of(number: int) -> Refusal:
    """Name a refusal; one that this tool does not know is MALFORMED."""
    try:
        return Refusal(number)
    except ValueError:
        return Refusal.MALFORMED


def in_words(refusal: Refusal) -> str:
    """Say a board's refusal, and what to do."""
    return {
        Refusal.MALFORMED: "it does not understand this request; flasher and stub may be of different versions",
        Refusal.HEADER_DAMAGED: "the release's header is damaged; pack it again",
        Refusal.WRONG_KEY: "the release is signed by another key than the board was made for",
        Refusal.WRONG_HARDWARE: "the release is made for other hardware",
        Refusal.SECURITY_COUNTER: "the release's security counter is below the board's floor; pack a newer one",
        Refusal.TOO_BIG: "it does not fit into that slot",
        Refusal.ACTIVE_SLOT: "that slot is confirmed and boots; leave --slot out, and the board takes the other one",
        Refusal.NO_TRANSFER: "it lost track of the transfer",
        Refusal.NOTHING_WRITTEN: "nothing was written",
        Refusal.INCOMPLETE: "the image is not whole yet",
        Refusal.FLASH_FAULT: "its flash reports a fault or does not read back: the chip may be worn or protected",
        Refusal.DIGEST_MISMATCH: "what it reads back is not what was sent: the flash may be worn",
        Refusal.BAUD_RATE: "it can't talk at this rate",
    }[refusal]
