"""From releases to a carousel that turns for ever: what goes when. Time and the wire are arguments."""
