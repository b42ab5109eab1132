"""What of a kind travels with the settings; light, for arbiter and operator commands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a process that must not import a kind knows of it; travels with the settings."""

    name: str
    event_loop: bool = False
    foreign_programs: bool = False
    module: str = ""  #: importing this, a module or a file, registers it; empty for our own
