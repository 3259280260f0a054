"""The report of `bootbench link`, as people read it."""

from bench.link.cli import print_report


def report(**down):
    counts = {"offered": 1000, "delivered": 480, "loss": 0.52, "delay_mean_s": 0.08, "late": 0} | down
    box = {"to": "239.255.78.2:5078%lo", "down": counts, "up": {"delivered": 0, "offered": 0}}
    return {"seed": 7, "seconds": 20.0, "boxes": [box], "fell_behind": False, "totals": {}}


def test_what_a_slow_line_drops_is_told_apart_from_what_the_network_loses(capsys):
    print_report(report(lost=45, queue_full=475))
    shown = " ".join(capsys.readouterr().out.split())
    assert "239.255.78.2:5078%lo is slower than the carousel" in shown
    assert "its queue dropped 47.5% of the packets, the network lost 4.5%" in shown


def test_a_line_that_is_fast_enough_has_no_sentence(capsys):
    print_report(report(lost=45, queue_full=3))
    shown = capsys.readouterr().out
    assert "slower" not in shown
    for whole in ("239.255.78.2:5078%lo", "delivered", "queue full"):
        assert whole in shown, "nothing is cut where there is no terminal"


def test_a_link_that_was_offered_nothing_lost_nothing_and_says_so(capsys):
    print_report(report(offered=0, delivered=0, loss=1.0))
    shown = capsys.readouterr().out
    assert "100" not in shown
    assert "nothing came from the carousel" in shown
