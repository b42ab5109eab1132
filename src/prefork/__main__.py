"""``python -m prefork`` is the command ``prefork``."""

import sys

from prefork.cli import main

if __name__ == "__main__":
    sys.exit(main())
