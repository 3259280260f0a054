"""Cards and initramfs for boards: a receiver that boots from a card, made without root (docs/boards.md)."""
