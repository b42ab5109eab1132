"""The name by which parents of the original kind start ``foreign_parent``: it is in their code."""

import sys

from prefork.worker.foreign_parent import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
