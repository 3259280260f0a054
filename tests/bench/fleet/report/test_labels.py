import numpy as np

from bench.fleet.report.labels import place_labels, points_along
from bench.fleet.report.svg import Frame

FRAME = Frame(0.0, 20.0, 900.0, 400.0)


def crossing(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_points_follow_a_line():
    points = points_along(np.array([0.0, 100.0, 100.0]), np.array([0.0, 0.0, 50.0]))
    assert np.abs(np.diff(points, axis=0)).max() <= 6.0
    assert points[-1].tolist() == [100.0, 50.0]


def test_names_are_near_their_lines_and_on_no_other_name():
    # Nine lines that are one, as of rivals that boot next to nobody; and one that falls.
    flat = [points_along(np.array([10.0, 880.0]), np.array([22.0, 30.0])) for _ in range(9)]
    steep = points_along(np.array([200.0, 205.0]), np.array([22.0, 390.0]))
    lines = [*flat, steep]
    names = [f"unicast, retry {number}" for number in range(9)] + ["carousel"]
    places = place_labels(lines, names, FRAME)
    boxes = [place.box(name) for place, name in zip(places, names, strict=True)]
    assert not any(crossing(one, other) for index, one in enumerate(boxes) for other in boxes[:index])
    for line, place, box in zip(lines, places, boxes, strict=True):
        assert np.hypot(*(line - (place.x, place.y)).T).min() < 90
        assert FRAME.left <= box[0]
        assert box[2] <= FRAME.right
    on_steep = [(steep[:, 0] > a) & (steep[:, 0] < c) & (steep[:, 1] > b) & (steep[:, 1] < d) for a, b, c, d in boxes]
    assert not np.any(on_steep)  # none hides the line that falls
