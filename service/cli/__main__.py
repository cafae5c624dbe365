"""`python -m service.cli`: the command without its script."""

from service.cli.main import main

main()
