"""The words for what happens to a carousel (headend/events.py); carousel/console/reporter.py tells them."""

from collections.abc import Mapping
from typing import Any

from carousel.console.quantities import format_rate_bps
from carousel.console.reporter import Language, Reporter, make_reporter
from headend.events import Tell, fields_of

__all__ = ["LANGUAGE", "SERVICE_LANGUAGE", "carousel_reporter", "teller_of"]

Fields = Mapping[str, Any]


def say(event: str, fields: Fields) -> str | None:
    """Say an event in a line; None for what moves."""
    if event in ("casting", "swapped"):
        names = ", ".join(f"{each['name']} {each['version']} ({each['hardware']})" for each in fields["releases"])
        if event == "swapped":
            return f"swapped to {names}"
        rate = format_rate_bps(fields["rate_bps"])
        return f"casting {names} to {fields['group']} on {fields['interface']} at {rate}, paced by {fields['paced_by']}"
    if event == "peer":
        rate = "half the rate" if fields["alive"] else "the whole rate"
        return f"the other head-end {'is back' if fields['alive'] else 'is silent'}: {rate} from now on"
    words = {
        "trouble": "the network takes nothing: {reason}",
        "trouble_over": "the network takes packets again",
        "stopped": "stopped after {cycles} cycle(s)",
        "decided": "new decisions are on the air, epoch {epoch}",
        "note": "{text}",
    }.get(event)
    return words.format(**fields) if words else None


def show(event: str, fields: Fields) -> str | None:
    """Show where the carousel is."""
    if event != "status":
        return None
    rate = format_rate_bps(fields["rate_bps"])
    return f"{rate}  cycle {fields['cycle']}  {fields['share']:5.1%}  (Ctrl-C stops)"


LANGUAGE = Language(say, show)


def say_of_service(event: str, fields: Fields) -> str | None:
    """Say an event of the service in a line."""
    if event == "rate":
        return f"{fields['carousel']}: {format_rate_bps(fields['rate_bps'])} from now on, by the time of day"
    if event in ("serving", "change", "carousel_died"):
        words = {
            "serving": "{url} serves {folder}",
            "change": "{who}: {action} {what} {detail}",
            "carousel_died": "carousel {carousel} died (code {code}), and is started again",
        }
        return words[event].format(**fields).strip()
    if event in ("trouble", "trouble_over"):
        carousel = f"{fields['carousel']}: " if "carousel" in fields else ""
        return f"{carousel}{'over: ' if event == 'trouble_over' else ''}{fields['reason']}"
    if event == "stopped":
        return "stopped"
    words_of_carousel = say(event, fields)
    return (
        f"{fields['carousel']}: {words_of_carousel}"
        if words_of_carousel and "carousel" in fields
        else words_of_carousel
    )


SERVICE_LANGUAGE = Language(say_of_service)


def teller_of(reporter: Reporter) -> Tell:
    """Return what tells a carousel's events to a reporter."""
    return lambda event: reporter.tell(event.event, **fields_of(event))


def carousel_reporter(as_json: bool) -> Reporter:
    """Return a reporter for a carousel."""
    return make_reporter(as_json, "headend", LANGUAGE)
