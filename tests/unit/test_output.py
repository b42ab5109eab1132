"""What programs print, as lines."""

import os

from hypothesis import given
from hypothesis import strategies as st

from prefork.arbiter.programs.output import AT_ONCE, LONGEST, Cutter, Output, pieces
from prefork.logs.log import in_quotes
from prefork.platform.posix.programs import Pipe

chunks = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.builds(bytes.__mul__, st.sampled_from([b"x", b"\n", b"\xff", "ä€𝄞".encode()]),
                  st.integers(0, 3 * LONGEST)),
    ),
    max_size=8,
)  # fmt: skip


@given(chunks)
def test_no_byte_is_lost_and_no_line_is_too_long(parts):
    """
    In whatever pieces it arrives, the lines together are what was printed.
    """
    cutter = Cutter()
    found = [line for part in parts for line in cutter.feed(part)] + list(cutter.end())

    printed = b"".join(parts).replace(b"\r\n", b"\n").removesuffix(b"\r")
    joined = "".join(line.decode("utf-8", "replace") for line in printed.split(b"\n"))
    # Bytes that are no text may be cut anywhere; each is replaced on its own.
    assert joined.replace("\ufffd", "").replace("\r", "") == "".join(found).replace(
        "\ufffd", ""
    ).replace("\r", "")
    assert all(len(line.encode("utf-8", "replace")) <= 3 * LONGEST for line in found)


def test_a_character_is_not_cut_in_two():
    """
    The cut is before the character that does not fit.
    """
    cutter = Cutter()

    first, second = cutter.feed(b"x" + "ä".encode() * (LONGEST // 2) + b"\n")

    assert ("x" + "ä" * (LONGEST // 2 - 1), "ä") == (first, second)


def test_an_unfinished_line_waits_for_its_end():
    """
    It is one line, in whatever pieces it arrives; at the end it is reported unfinished.
    """
    cutter = Cutter()

    assert [[], ["one"], []] == [list(cutter.feed(part)) for part in (b"o", b"ne\r\nt", b"wo")]
    assert ["two"] == list(cutter.end())
    assert [] == list(cutter.end())


def test_the_last_output_of_a_pipe_that_others_hold_is_limited():
    """
    A writer that lives on delays no other.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    output = Output("stdout", Pipe(reader, AT_ONCE))
    os.write(writer, b"a\n" * 10_000 + b"end")

    output.read_rest(8192)
    assert ["a"] * 4096 == list(output.lines)
    output.read_rest(1 << 20)
    assert [*["a"] * 10_000, "end"] == list(output.lines)
    assert not output.read()
    assert output.is_open
    os.close(writer)
    assert not output.read()
    assert not output.is_open
    output.close()


@given(st.text(st.sampled_from('a"\n\x00\x7f\x9fä€𝄞'), max_size=200).map(lambda text: text * 40))
def test_a_piece_fits_with_the_escapes_of_the_log(line):
    """
    Whatever has to be escaped, nothing is lost and no piece becomes too long.
    """
    found = list(pieces(line))

    assert line == "".join(found)
    assert all(len(in_quotes(piece).encode()) <= LONGEST for piece in found)


def test_a_carriage_return_within_a_long_line_stays():
    """
    Only the one at the end of a line belongs to its end.
    """
    line = "x" * (LONGEST - 1) + "\r" + "y"

    assert line == "".join(Cutter().feed(line.encode() + b"\r\n"))
