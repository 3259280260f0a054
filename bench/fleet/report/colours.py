"""Colours that mean one thing on the whole page, told apart by colour-blind readers (Okabe and Ito) and in print: a
strategy has a colour (of logins: what the server does), a retry policy a dash, a phase a tint.
"""

__all__ = ["DASHES", "LOST_COLOUR", "PHASE_TINTS", "colour_of", "dash_of"]

STRATEGY_COLOURS = {
    "carousel-plain": "#56B4E9",
    "carousel-pair": "#5E3C99",
    "carousel-forgetful": "#8C564B",
    "carousel-tail": "#E69F00",
    "carousel": "#0072B2",
    "unicast": "#D55E00",
    "datacentres": "#B27D00",
    "elastic": "#CC79A7",
    "p2p": "#009E73",
    "login": "#4D4D4D",
    "roll-out": "#0072B2",
}
DISCIPLINE_COLOURS = {
    "newest first": "#8C564B",
    "drops stale requests": "#B27D00",
    "takes what it can answer in time": "#CC79A7",
    "tells when to come back": "#009E73",
    "broadcast gate": "#56B4E9",
    "carousel + gate": "#5E3C99",
}
"""What a login server does beside answering in turn."""
DASHES = {"immediate": "", "backoff": "7 4", "random": "2 3"}
LOST_COLOUR = "#7a1f1f"
PHASE_TINTS = {
    "off": "#efefef",
    "not up": "#efefef",
    "receiving": "#ffe0a3",
    "searching": "#ffe0a3",
    "logging in": "#f4a582",
    "on EEPROM": "#c9b6dd",
    "starting": "#b8dfc2",
    "up": "#5d9e75",
    "online": "#5d9e75",
}


def colour_of(label: str) -> str:
    """Return a strategy's colour; of a login, that of what its server does."""
    for name, colour in DISCIPLINE_COLOURS.items():
        if label.startswith("login") and label.endswith(f", {name}"):
            return colour
    return next((colour for name, colour in STRATEGY_COLOURS.items() if label.startswith(name)), "#4D4D4D")


def dash_of(label: str) -> str:
    """Return the dash of a retry policy."""
    return next((dash for name, dash in DASHES.items() if f"{name} retry" in label), "")
