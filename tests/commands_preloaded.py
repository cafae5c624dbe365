"""What the server of commands imports before it forks: all that any command would."""

import gc

import alembic.command

import service.app
import service.simulator.app
import workers.process
from service.cli.main import COMMANDS
from service.cli.main import main as cli
from service.kit.tls import public_authorities
from service.kit.version import running_version

__all__ = ["alembic", "cli", "service", "workers"]

for command in COMMANDS:
    command.load()
public_authorities()
running_version()
# Else each command goes through all of this again, and copies it, to find out that none is garbage.
gc.freeze()
