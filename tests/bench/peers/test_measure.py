"""One transfer: when a box has what it came for."""

import pytest

from bench.peers import measure
from bench.peers.tools import TOOLS, Transfer


@pytest.fixture
def box(monkeypatch, tmp_path):
    """A box of ours whose process is told what to say when it is looked at."""

    class Process:
        def __init__(self, namespace, command, log):
            self.codes = []

        def poll(self):
            return self.codes.pop(0)

    class Lab:
        def box(self, index):
            return f"box{index}"

    monkeypatch.setattr(measure, "Process", Process)
    tool = next(each for each in TOOLS if each.name == "bootcast")
    what = Transfer(tmp_path / "image", tmp_path, 1, None)
    found = measure._Box(Lab(), tool, what, 0)
    found.path.parent.mkdir(parents=True)
    return found


def test_a_box_that_ends_between_two_looks_has_not_given_up(box):
    box.path.write_bytes(b"image")
    box.process.codes = [None, 0, 0]
    assert [box.is_settled, box.is_settled] == [False, True]
    assert box.had_it_s is not None


@pytest.mark.parametrize(("code", "is_there"), [(1, True), (0, False), (1, False)])
def test_a_box_that_ended_without_an_image_or_with_an_error_has_given_up(box, code, is_there):
    if is_there:
        box.path.write_bytes(b"image")
    box.process.codes = [None, code]
    assert [box.is_settled, box.is_settled] == [False, True]
    assert box.had_it_s is None
