"""What the processes of each generation inherit: made for the first of them, closed afterwards."""

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass

import msgspec

from prefork.ipc.plan import Plan
from prefork.platform.system import memory_file, number_of
from prefork.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What every process of one generation gets at its start."""

    settings: Settings
    plan: int  #: number of the file with the plan
    listeners: Sequence[int]  #: numbers, in the order of their addresses
    shared: Sequence[int]  #: numbers of what else each of our own processes inherits
    port: int | None  #: of the first listener that has one


class Generations:
    """The inheritance of each generation that has processes, or will have some."""

    def __init__(self, plan: Plan, port: int | None = None) -> None:
        self.plan = plan  #: of the generations to come, but for their number
        self._port = port
        self._made: dict[int, tuple[int, Inheritance]] = {}  #: with the plan file's descriptor

    def of(self, number: int) -> Inheritance:
        """Return what the processes of generation ``number`` inherit; raises OSError."""
        if number not in self._made:
            self._made[number] = self._make(number)
        return self._made[number][1]

    def forget_all_but(self, living: Container[int]) -> None:
        """Close the plans of the generations that are not among ``living``."""
        for number in [number for number in self._made if number not in living]:
            file, _ = self._made.pop(number)
            os.close(file)

    def _make(self, number: int) -> tuple[int, Inheritance]:
        plan = msgspec.structs.replace(self.plan, generation=number)
        file = memory_file("plan")
        os.write(file, msgspec.json.encode(plan))
        inheritance = Inheritance(
            settings=plan.settings,
            plan=number_of(file),
            listeners=plan.listeners,
            shared=[plan.scoreboard, *([] if plan.mutex is None else [plan.mutex])],
            port=self._port,
        )
        return file, inheritance
