from settop.report import TerminalReporter


def test_an_image_may_have_any_name(capsys):
    reporter = TerminalReporter("box")
    reporter.tell("image_found", name="[/red] [x", version="1.0.0", image_size=5)
    reporter.close()
    assert "found [/red] [x 1.0.0, 5 bytes" in capsys.readouterr().out
