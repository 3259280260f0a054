from carousel.console.reporter import TerminalReporter
from settop.report import LANGUAGE, say

VERIFIED = {
    "version": "1.0.0",
    "image_size": 1_500_000,
    "elapsed_s": 1.5,
    "received_symbols": 1200,
    "needed_symbols": 1000,
    "rate_bps": 8_000_000,
}


def test_an_image_may_have_any_name(capfd):
    reporter = TerminalReporter("box", LANGUAGE)
    reporter.tell("image_found", name="[/red] [x\x1b[2J\n", version="1.0.0", image_size=5)
    reporter.close()
    shown = capfd.readouterr().out
    assert "found [/red] [x" in shown
    assert "\x1b[2J" not in shown


def test_losses_of_the_network_and_of_the_box_are_told_apart():
    said = say("image_verified", VERIFIED | {"loss": 0.05, "socket_drops": 0})
    assert said == "verified in 1.50 s, 1.5 MB at 8.0 Mb/s: 1,200 symbols heard for 1,000 needed; the network lost 5.0%"
    said = say("image_verified", VERIFIED | {"loss": 0, "socket_drops": 3000})
    assert said.endswith("needed; this box was too slow for 3,000 packets")


def test_the_rate_is_what_was_heard_not_the_image_over_the_time_since_the_start():
    resumed = VERIFIED | {"received_symbols": 400, "rate_bps": 3_200_000, "elapsed_s": 1.0}
    assert say("image_verified", resumed).startswith("verified in 1.00 s, 1.5 MB at 3.2 Mb/s: 400 symbols")
    assert say("image_verified", resumed | {"rate_bps": 0}).startswith("verified in 1.00 s, 1.5 MB: 400 symbols")


def test_nothing_moves_below_what_is_kept(capfd):
    reporter = TerminalReporter("box", LANGUAGE)
    progress = {"useful_symbols": 287, "needed_symbols": 1000, "blocks_done": 0, "blocks": 1, "rate_bps": 0, "loss": 0}
    reporter.tell("progress", **progress)
    reporter.tell("kept", share=0.2871)
    reporter.close()
    shown = capfd.readouterr().out
    assert shown.endswith("kept 28.7%, run again to go on\n")
