"""What of a kind travels with the settings; light, for arbiter and operator commands."""

from msgspec import Struct


class Facts(Struct, frozen=True, kw_only=True):
    """What a process that must not import a kind knows of it; travels with the settings."""

    name: str
    event_loop: bool = False
    foreign_programs: bool = False
    module: str = ""  #: importing this, a module or a file, registers it; empty for our own
