"""Tables: what each form of value takes, what it becomes, what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.settings import OPTIONS
from prefork.settings.values import FLAG, OCTAL, WORKERS, Form, choice, duration, whole


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        ("365d", 31_536_000.0),
    ],
)
def test_a_duration_is_seconds_or_has_a_unit(text, seconds):
    """
    The unit is s where none is given.
    """
    assert seconds == pytest.approx(duration().convert(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "+1",
        "1e3",
        "inf",
        "nan",
        "1 m",
        "2M",
        "1h30m",
        "366d",
        "٣",
        "9" * 5000,
        "1_0",
    ],
)
def test_what_is_no_duration_is_refused(text):
    """
    Signs, exponents, digits of other scripts, and more than a year.
    """
    with pytest.raises(ValueError):
        duration().convert(text)


def test_a_duration_can_have_a_minimum():
    """
    A period of 0 seconds would cause a division by zero.
    """
    with pytest.raises(ValueError):
        duration(0.001).convert("0")

    assert duration(0.001).convert("1ms") == 0.001


@pytest.mark.parametrize(
    ("text", "limits"),
    [("1", (1, 1)), ("4", (4, 4)), ("1..8", (1, 8)), ("0..4", (0, 4)), ("3..3", (3, 3)),
     ("2048", (2048, 2048))],
)  # fmt: skip
def test_workers_are_a_number_or_a_range(text, limits):
    """
    N is N..N; the minimum may be 0.
    """
    assert limits == WORKERS.convert(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0..0",
        "8..1",
        "-1",
        "1..",
        "..8",
        "1-8",
        "1...8",
        "many",
        "2049",
        "1.5",
        "9" * 5000,
    ],
)
def test_workers_outside_the_limits_are_refused(text):
    """
    The maximum is at least 1, not below the minimum, and not above the scoreboard's limit.
    """
    with pytest.raises(ValueError):
        WORKERS.convert(text)


@given(some.integers(0, 2048), some.integers(1, 2048))
def test_shown_workers_read_back_as_the_same(one, other):
    """
    The text that check and status show is a valid flag.
    """
    limits = (min(one, other), max(one, other))

    assert limits == WORKERS.convert(WORKERS.show(limits))


@pytest.mark.parametrize(
    ("text", "mask"), [("022", 0o22), ("0o77", 0o77), ("777", 0o777), ("0", 0)]
)
def test_a_umask_is_octal(text, mask):
    """
    With or without Python's prefix.
    """
    assert mask == OCTAL.convert(text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (OCTAL, "8"),
        (OCTAL, "1000"),
        (OCTAL, "-1"),
        (FLAG, ""),
        (FLAG, "maybe"),
        (whole(1, 9), "0"),
        (whole(1, 9), "10"),
        (whole(1, 9), "1.0"),
        (whole(1, 9), "9" * 5000),
        (choice("a", "b"), "c"),
    ],
)
def test_what_does_not_fit_is_refused(form: Form, text):
    """
    With the one error that means "refused", whatever the text.
    """
    with pytest.raises(ValueError):
        form.convert(text)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("ON", True), ("1", True), ("no", False)]
)
def test_a_switch_has_the_usual_words(text, value):
    """
    In any case.
    """
    assert value is FLAG.convert(text)


@given(some.sampled_from(OPTIONS), some.text(max_size=40))
def test_no_text_raises_another_error(option, text):
    """
    A converter returns or raises ValueError, for any text.
    """
    try:
        option.form.convert(text)
    except ValueError:
        return
