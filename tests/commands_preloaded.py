"""What the server of commands imports before it forks: all that any command would."""

import service.app
import service.simulator.app
import workers.process
from service.cli.main import COMMANDS
from service.cli.main import main as cli
from service.kit.tls import public_authorities

__all__ = ["cli", "service", "workers"]

for command in COMMANDS:
    command.load()
public_authorities()
