"""The broadcaster: pack and sign an image, order the carousel, pace it onto the wire."""
