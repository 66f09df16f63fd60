"""`python -m inspectd`."""

from inspectd.cli.main import main

main()
