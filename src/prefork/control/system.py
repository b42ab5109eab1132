"""The one place that chooses what of the control socket fits the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.control.windows import STEP, reserve, unix_client, unix_endpoint
else:
    from prefork.control.unix import STEP, reserve, unix_client, unix_endpoint

__all__ = ["STEP", "reserve", "unix_client", "unix_endpoint"]
