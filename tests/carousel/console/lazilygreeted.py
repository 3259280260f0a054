"""A command that only its group's tests load."""


def greet(name: str, loud: bool = False) -> None:
    """Say hello to somebody."""
    text = f"Hello {name}"
    print(text.upper() if loud else text)
