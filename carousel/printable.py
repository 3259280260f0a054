"""What others wrote, made fit for a terminal or a log: no escape sequence, no line of its own."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Write what is not printable as escapes: `\\x1b`, `\\n`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
