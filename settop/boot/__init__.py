"""How a chosen image is started: one file a boot loader (docs/boards.md). The state record decides; these carry out."""
