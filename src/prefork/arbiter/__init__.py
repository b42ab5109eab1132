"""The arbiter: the parent process, a loop that decides, acts and waits."""

from typing import Final

ARBITER: Final = __name__  #: the module by which it is started
