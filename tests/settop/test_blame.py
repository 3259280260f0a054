import math

import pytest

from settop.blame import why_nothing
from settop.stitch.seam import WireStats


def stats(corrupt=0, keys=(), **rejected):
    return WireStats(corrupt=corrupt, rejected=tuple(rejected.items()), unknown_keys=keys)


@pytest.mark.parametrize(
    ("heard", "share", "silent_s", "words"),
    [
        (stats(), None, math.inf, "no packet came"),
        (stats(tsi=400), None, 0.0, "another session"),
        (
            stats(unknown_key=3, early=700, keys=("1a2b",)),
            None,
            0.0,
            "signed by key 1a2b, which this box does not trust",
        ),
        (stats(header_repeated=9), 0.0, 0.0, "only headers were heard"),
        (stats(header_repeated=9), 0.63, 5.2, "fell silent 5 s ago, at 63%"),
        (stats(header_repeated=9), 0.63, 0.0, "too little time: 63% came"),
        (stats(early=500), None, 0.0, "no header of theirs"),
        (stats(bad_signature=50, header_repeated=900), None, 0.0, "none with a good signature"),
        (stats(corrupt=100, early=3), None, 0.0, "damaged on the way"),
        (stats(truncated=10), None, 0.0, "another program"),
    ],
)
def test_the_cause_is_named(heard, share, silent_s, words):
    assert words in why_nothing(heard, share, silent_s)


def test_refusals_are_named_once():
    why = why_nothing(stats(), None, 0.0, ("made for other hardware", "made for other hardware"))
    assert why.count("made for other hardware") == 1
