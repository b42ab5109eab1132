"""Arguments as text: nothing is refused at once, so that all mistakes are reported together.

argparse stops at the first mistake it knows of; so it never sees one: every value is optional
to it and a text, and what it does not know it hands back.
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, field


class Kept(Struct, frozen=True):
    """A flag as it was given."""

    dest: str
    flag: str
    value: str | None  #: None where the flag takes none


class Line(Struct):
    """A command line, taken apart."""

    kept: list[Kept] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  #: what stands without a flag
    problems: list[str] = field(default_factory=list)

    def has(self, dest: str) -> bool:
        """Return whether the flag was given."""
        return any(kept.dest == dest for kept in self.kept)

    def last(self, dest: str) -> str | None:
        """Return the last value given for ``dest``."""
        values = [kept.value for kept in self.kept if kept.dest == dest]
        return values[-1] if values else None


class Parser:
    """The flags of a command."""

    def __init__(self, command: str, usage: str, description: str) -> None:
        self._argparse = _Argparse(
            prog=f"prefork {command}",
            usage=f"prefork {command} {usage}".rstrip(),
            description=description,
            formatter_class=_Unseen,
            allow_abbrev=False,
            exit_on_error=False,
        )
        self._groups: dict[str, Any] = {"": self._argparse}
        self._takes_value = {"-h": False, "--help": False}

    def add(
        self, dest: str, *flags: str, help: str | None, metavar: str = "", group: str = ""
    ) -> None:
        """Add a flag; without ``metavar`` it takes no value, without ``help`` it is not shown."""
        if group not in self._groups:
            self._groups[group] = self._argparse.add_argument_group(group)
        self._groups[group].add_argument(
            *flags,
            dest=dest,
            action=_Keep,
            nargs="?" if metavar else 0,
            metavar=metavar or None,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS if help is None else help.replace("%", "%%"),
        )
        self._takes_value.update(dict.fromkeys(flags, bool(metavar)))

    def parse(self, argv: Sequence[str], most_words: int = 0) -> Line:
        """Take ``argv`` apart; ``most_words`` may stand without a flag.

        Ends the process after ``--help``.
        """
        line = Line()
        namespace = argparse.Namespace(line=line)
        rest: list[str] = []
        try:
            _, rest = self._argparse.parse_known_args(self._sensible(argv, line), namespace)
        except argparse.ArgumentError as error:
            line.problems.append(str(error))
        self._sort(rest, line, most_words)
        line.problems += [
            f"the argument {word!r} is one too many" for word in line.words[most_words:]
        ]
        del line.words[most_words:]
        return line

    def _sensible(self, argv: Sequence[str], line: Line) -> Iterable[str]:
        """Yield ``argv`` without the one thing argparse would stop at: --flag=value for nothing."""
        for text in argv:
            flag, separator, _ = text.partition("=")
            if separator and self._takes_value.get(flag) is False:
                line.problems.append(f"{flag} takes no value, but {text!r} has one")
            else:
                yield text

    def _sort(self, rest: Iterable[str], line: Line, most_words: int) -> None:
        """Sort what argparse does not know into words and mistakes.

        What follows an unknown flag may be its value: then it is not a mistake of its own.
        """
        doubtful: list[str] = []
        follows: bool | None = False  # whether a value is due; None is "perhaps"
        for text in rest:
            if text == "--":
                continue
            if re.match(r"-.", text):
                from prefork.cli import foreign  # only here: most command lines are right

                flag, separator, _ = text.partition("=")
                line.problems.append(foreign.about(flag, self._takes_value))
                follows = False if separator else foreign.expects_value(flag, self._takes_value)
                continue
            if follows is False:
                line.words.append(text)
            elif follows is None:
                doubtful.append(text)
            follows = False
        if not line.words:
            line.words = doubtful[:most_words]


class _Argparse(argparse.ArgumentParser):
    """Fails when its help cannot be written; argparse itself ignores that."""

    def format_help(self) -> str:
        self.formatter_class = _Formatter
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="", file=file)


class _Keep(argparse.Action):
    """Remembers flag and value as they stand."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002  argparse gives it
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        flag = option_string or ""
        if self.nargs == 0:
            namespace.line.kept.append(Kept(self.dest, flag, None))
        elif values is None:
            namespace.line.problems.append(f"{flag} needs a value, as in {flag} {self.metavar}")
        else:
            namespace.line.kept.append(Kept(self.dest, flag, values))


class _Unseen(argparse.HelpFormatter):
    """What argparse makes for each flag to see whether it could be shown.

    With a width of its own it does not ask for the terminal's, nor import what that takes.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class _Formatter(argparse.HelpFormatter):
    """Shows a value as what it is to the user: not optional."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == "?" and isinstance(action.metavar, str):
            return action.metavar
        return super()._format_args(action, default_metavar)
