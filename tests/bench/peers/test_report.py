"""Tables and pictures from made-up measurements."""

import json

import pytest

from bench.peers.report import markdown, plot, show, write_json

RUN = {"seconds": [1.0], "wire_bytes": 1}


def row(tool, boxes=1, loss=0.0, seconds=1.0, complete=None, wire=1e6):
    complete = boxes if complete is None else complete
    return {
        "tool": tool,
        "boxes": boxes,
        "loss": loss,
        "seconds": seconds,
        "complete": complete,
        "wire_bytes": wire,
        "runs": [RUN],
    }


def speed(tool, goodput_bps):
    return row(tool) | {"goodput_bps": goodput_bps, "sender_cpu_s_per_gb": 0.5, "receiver_cpu_s_per_gb": 1.5}


REPORT = {
    "date": "2026-11-23",
    "machine": "2 cores",
    "large_bytes": 200_000_000,
    "small_bytes": 12_500_000,
    "runs_wanted": 3,
    "absent": {"UFTP": "uftp not installed"},
    "speed": [speed("bootcast", 2e9), speed("HTTP", 4e9), speed("TFTP", None)],
    "cost": [
        {"tool": tool, "start": start, "rate_bps": 3e8, "sender_cpu_s_per_gb": sender, "receiver_cpu_s_per_gb": box}
        for tool, start, sender, box in (
            ("bootcast", "from the start", 2.0, 3.3),
            ("bootcast", "tuned in at random", None, 4.5),
            ("UFTP", "from the start", 6.0, 3.0),
        )
    ],
    "overload": [
        row("bootcast") | {"offered_bps": offered_bps, "wire_bps": wire_bps, "goodput_bps": goodput_bps}
        for offered_bps, wire_bps, goodput_bps in ((1e9, 0.9e9, 0.8e9), (4e9, 3e9, 1e9), (8e9, None, None))
    ],
    "loss": [
        row(tool, boxes, loss, seconds, None if seconds else 0)
        for boxes in (1, 16)
        for tool, times in (("bootcast", (1.0, 1.2)), ("HTTP", (0.8, 9.0)), ("TFTP", (0.5, None)))
        for loss, seconds in zip((0.0, 0.2), times, strict=True)
    ],
    "late": [
        {"tool": "bootcast", "late": {"0.25": 1.5, "0.5": 1.6}, "runs": []},
        {"tool": "UFTP", "late": {"0.25": None, "0.5": None}, "runs": []},
    ],
    "traffic": [
        row(tool, boxes, wire=wire * boxes) for tool, wire in (("HTTP", 1e6), ("bootcast", 2e6)) for boxes in (1, 2)
    ],
}


def test_the_markdown_says_who_won_who_lost_and_who_did_not_finish():
    text = markdown(REPORT)
    assert "2026-11-23, 2 cores, medians of 3 runs." in text
    assert "| HTTP | 4.00 Gb/s | 2.00 | 0.50 | 1.50 |" in text
    assert "| bootcast | from the start | 2.00 | 3.30 | 1.10 |" in text
    assert "| bootcast | tuned in at random | - | 4.50 | 1.50 |" in text
    assert "| 1 Gb/s | 0.90 Gb/s | 0.80 Gb/s | 80% |" in text
    assert "| 8 Gb/s | - | did not finish | - |" in text
    assert "| TFTP | did not finish | - | - | - |" in text
    assert "| HTTP | 0.80 s (0.80), 1 MB | 9.00 s (7.50), 1 MB |" in text
    assert "| TFTP | 0.50 s (0.50), 1 MB | 0 of 16 complete |" in text
    assert "| UFTP | missed it | missed it |" in text
    assert "| bootcast | 2.0 MB | 4.0 MB |" in text


def test_the_terminal_names_what_is_absent(capsys):
    show(REPORT)
    out = capsys.readouterr().out
    assert "UFTP is absent: uftp not installed; `make bench-setup`" in out
    assert "did not finish" in out


@pytest.mark.slow
def test_pictures_and_json_are_written(tmp_path):
    pictures = plot(REPORT, tmp_path)
    assert [path.name for path in pictures] == ["loss.png", "traffic.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path in pictures)
    write_json(REPORT, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT


def test_a_report_with_one_table_has_only_that():
    few = {
        name: REPORT[name]
        for name in ("date", "machine", "large_bytes", "small_bytes", "runs_wanted", "absent", "speed")
    }
    assert markdown(few).count("| tool |") == 1
