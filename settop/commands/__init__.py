"""What each command of `settop` does; its arguments are in `settop/cli.py`, which imports a command when it runs."""
