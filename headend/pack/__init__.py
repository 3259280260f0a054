"""From an image to a release: render, digest, sign."""
