"""The legal steps of a worker's life."""

import itertools

import pytest

from prefork.core.actions import Drain, Kill
from prefork.core.events import WorkerReady
from prefork.core.lifecycle import TRANSITIONS, advance
from prefork.core.states import State, WorkerRecord


def record(state: State) -> WorkerRecord:
    return WorkerRecord(slot=0, generation=1, started=0.0, since=0.0, state=state)


@pytest.mark.parametrize(
    ("state", "step"), list(itertools.product(State, (WorkerReady, Drain, Kill)))
)
def test_a_step_is_in_the_table_or_a_bug(state, step):
    """
    Every pair of state and step has its row, or raises.
    """
    worker = record(state)

    if (state, step) in TRANSITIONS:
        advance(worker, step, 5.0)
        assert TRANSITIONS[state, step] is worker.state
        assert (worker.since == 5.0) is (worker.state is not state)
    else:
        with pytest.raises(KeyError):
            advance(worker, step, 5.0)


def test_no_step_goes_back():
    """
    No step leads to an earlier state.
    """
    order = list(State)

    assert all(
        order.index(after) >= order.index(state) for (state, _), after in TRANSITIONS.items()
    )
