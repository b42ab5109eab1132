"""Wine tells every program that comes from outside where the user's profile is, whatever we say."""

import os

if "RIG_PROFILE" in os.environ:
    os.environ["LOCALAPPDATA"] = os.environ.pop("RIG_PROFILE")
