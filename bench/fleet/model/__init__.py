"""Who boots when: the law of one box's time, fleets drawn from it, and fleets of real receivers."""
