"""``python -m pacx``: the same as the ``pacx`` command."""

from pacx.cli import main

main()
