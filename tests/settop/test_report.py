from settop.report import TerminalReporter


def test_an_image_may_have_any_name(capsys):
    reporter = TerminalReporter("box")
    reporter.tell("image_found", name="[/red] [x", version="1.0.0", image_size=5)
    reporter.close()
    assert "found [/red] [x 1.0.0, 5 bytes" in capsys.readouterr().out


def test_a_status_table_takes_any_name(capsys):
    from pathlib import Path

    from settop.cli import _print_status

    entry = {"source": "slot-a", "state": "trial", "tries_left": 2, "name": "[/red]", "version": "1.0.0"}
    _print_status(Path("[/b]"), {"hardware": "00A1B2:7", "floor": 0, "sources": [entry]})
    assert "[/red]" in capsys.readouterr().out
