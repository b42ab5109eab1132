"""Typed fields in memory that processes share: declared once, in the order in which they lie.

::

    class Row(Area, words=64):
        accepted = Number("connections taken")
        busy_since = Moment("when the oldest unit began; 0 when there is none")

    row = Row(memory)
    row.accepted += 1
    row.words[Row.accepted.index] += 1  # the same, for code that runs for every connection

Each field starts at a word of 8 bytes, so a number or a moment is read and written as a whole.
Words behind the last field are reserved: they stay 0 until a later layout declares them.
"""

import struct
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, overload

WORD: Final = 8  #: bytes
#: Read from a word whose number stands for nothing, as in a damaged file.
UNKNOWN_CHOICE: Final = "unknown"

T = TypeVar("T")


class Area:
    """A piece of shared memory with fields, of ``words`` words of 8 bytes."""

    __slots__ = ("clock", "memory", "words")

    size: ClassVar[int]  #: bytes
    used: ClassVar[int]  #: words that are declared; the rest is reserved

    def __init_subclass__(cls, *, words: int) -> None:
        """Give each field its place."""
        cls.size, cls.used = words * WORD, 0
        for field in vars(cls).values():
            if isinstance(field, Field):
                field.index, field.area = cls.used, cls
                cls.used += field.width
        assert cls.used <= words, f"{cls.__name__} has {cls.used} words; {words} are there"

    def __init__(self, memory: memoryview) -> None:
        self.memory = memory
        self.words = memory.cast("q")
        self.clock = memory.cast("d")  #: the same words as seconds

    def writer(self, *fields: "Field[Any]") -> Callable[..., None]:
        """Return what writes ``fields``, which are neighbours, with one call and in this order.

        Much quicker than one after the other.  Numbers are int, moments float, texts bytes.
        """
        return partial(_struct(fields).pack_into, self.memory, fields[0].index * WORD)

    def reader(self, *fields: "Field[Any]") -> Callable[[], tuple[Any, ...]]:
        """Return what reads ``fields``, which are neighbours, with one call."""
        return partial(_struct(fields).unpack_from, self.memory, fields[0].index * WORD)


class Field(Generic[T]):
    """A place in an area, and how what stands there is written and read."""

    code = "q"  #: for the module struct
    width = 1  #: words
    index: int  #: of its first word
    area: type[Area]

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    @overload
    def __get__(self, area: None, owner: type[Area]) -> Self: ...

    @overload
    def __get__(self, area: Area, owner: type[Area]) -> T: ...

    def __get__(self, area: Area | None, owner: type[Area]) -> Self | T:
        return self if area is None else self.read(area)

    def __set__(self, area: Area, value: T) -> None:
        self.write(area, value)

    def read(self, area: Area) -> T:
        """Return what stands in ``area``."""
        raise NotImplementedError

    def write(self, area: Area, value: T) -> None:
        """Write ``value`` into ``area``."""
        raise NotImplementedError


class Number(Field[int]):
    """A signed 64-bit integer."""

    def read(self, area: Area) -> int:
        """Return the number in ``area``."""
        return area.words[self.index]

    def write(self, area: Area, value: int) -> None:
        """Write the number ``value`` into ``area``."""
        area.words[self.index] = value


class Moment(Field[float]):
    """A moment on the monotonic clock, in seconds; 0 is none."""

    code = "d"

    def read(self, area: Area) -> float:
        """Return the moment in ``area``."""
        return area.clock[self.index]

    def write(self, area: Area, value: float) -> None:
        """Write the moment ``value`` into ``area``."""
        area.clock[self.index] = value


class Choice(Field[str]):
    """One word out of several, kept as its number; the first one, 0, is what an empty area has."""

    def __init__(self, doc: str, *names: str) -> None:
        super().__init__(doc)
        self.names = names

    def number(self, name: str) -> int:
        """Return the number that stands for ``name``."""
        return self.names.index(name)

    def read(self, area: Area) -> str:
        """Return the word in ``area``."""
        number = area.words[self.index]
        return self.names[number] if 0 <= number < len(self.names) else UNKNOWN_CHOICE

    def write(self, area: Area, value: str) -> None:
        """Write the word ``value`` into ``area``."""
        area.words[self.index] = self.number(value)


class Text(Field[str]):
    """A short text in UTF-8; what does not fit is cut off."""

    def __init__(self, doc: str, *, words: int) -> None:
        super().__init__(doc)
        self.width = words
        self.code = f"{words * WORD}s"

    def read(self, area: Area) -> str:
        """Return the text in ``area``; bytes that are none are replaced."""
        start = self.index * WORD
        return decoded(bytes(area.memory[start : start + self.width * WORD]))

    def write(self, area: Area, value: str) -> None:
        """Write the text ``value`` into ``area``."""
        start, size = self.index * WORD, self.width * WORD
        # The last byte stays 0: a reader that comes while another text is written finds an end.
        cut = value.encode("utf-8", "replace")[: size - 1]
        area.memory[start : start + size] = cut.ljust(size, b"\0")


def decoded(content: bytes) -> str:
    """Return the text in the bytes of a field."""
    return content.partition(b"\0")[0].decode("utf-8", "replace")


def _struct(fields: tuple[Field[Any], ...]) -> struct.Struct:
    for before, after in pairwise(fields):
        assert after.area is before.area
        assert after.index == before.index + before.width
    # "@": native, so that each word is written as a whole.
    return struct.Struct("@" + "".join(field.code for field in fields))
