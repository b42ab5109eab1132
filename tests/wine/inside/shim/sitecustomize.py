"""Names that ``prefork.wire`` asks of ``signal`` at its import, and Windows does not have.

To go as soon as it does not ask any more.
"""

import signal

for name in ("SIGURG", "SIGUSR2"):
    if not hasattr(signal, name):
        setattr(signal, name, None)
