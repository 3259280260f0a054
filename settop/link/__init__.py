"""The receiving socket, and the losses that one can try out."""
