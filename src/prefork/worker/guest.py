"""The name by which parents of the original kind start ``foreign_parent``: it is in their code."""

# ruff: noqa: E402  (checkers on other systems pass over what follows the assertion)

import sys

assert sys.platform == "win32"

from prefork.worker.foreign_parent import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
