"""What `headend cast` tells: JSON lines, a live line on a terminal, or plain lines."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from carousel.console.quantities import format_rate_bps

__all__ = ["Teller"]


class Teller:
    """Reports of `cast`: JSON lines, a live line on a terminal, or plain lines."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._live = (
            Live(console=Console(markup=False), refresh_per_second=4) if sys.stdout.isatty() and not as_json else None
        )
        if self._live:
            self._live.start()

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        if self._as_json:
            print(json.dumps({"event": event, **fields}), flush=True)
        elif event == "status":
            if self._live:
                rate, share = format_rate_bps(fields["rate_bps"]), fields["share"]
                self._live.update(Text(f"{rate}  cycle {fields['cycle']}  {share:5.1%}  (Ctrl-C stops)"))
        else:
            console = self._live.console if self._live else Console(markup=False)
            console.print(_in_words(event, fields), highlight=False)

    def close(self) -> None:
        """Put the terminal right."""
        if self._live:
            self._live.stop()


def _in_words(event: str, fields: dict[str, Any]) -> str:
    if event in ("casting", "swapped"):
        names = ", ".join(f"{each['name']} {each['version']} ({each['hardware']})" for each in fields["releases"])
        if event == "swapped":
            return f"swapped to {names}"
        rate = format_rate_bps(fields["rate_bps"])
        return f"casting {names} to {fields['group']} on {fields['interface']} at {rate}, paced by {fields['paced_by']}"
    if event == "trouble":
        return f"the network takes nothing: {fields['reason']}"
    if event == "trouble_over":
        return "the network takes packets again"
    if event == "stopped":
        return f"stopped after {fields['cycles']} cycle(s)"
    return str(fields.get("text", event))
