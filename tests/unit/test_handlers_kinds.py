"""Telling the kind of a handler from its shape, and refusing what could not be served."""

import asyncio
import functools
import http.server
import socketserver

import pytest

from prefork.errors import HandlerError
from prefork.kinds import kind_named, offered
from prefork.kinds.targets.detection import kind_of
from prefork.kinds.targets.finding import LoadedHandler
from prefork.kinds.targets.fitting import check_accept, check_addresses


class Request(socketserver.BaseRequestHandler):
    pass


class Datagrams(socketserver.DatagramRequestHandler):
    pass


class Protocol(asyncio.Protocol):
    def __init__(self, database=None):
        pass


class ProtocolOfDatabase(asyncio.Protocol):
    def __init__(self, database):
        pass


class BufferedProtocol(asyncio.BufferedProtocol):
    pass


class DatagramProtocol(asyncio.DatagramProtocol):
    pass


class Callable:
    def __call__(self, connection, address):
        pass

    def run(self, worker):
        pass


class AsyncCallable:
    async def __call__(self, connection, address):
        pass


class Flaskish:
    def __call__(self, environ, start_response):
        pass


class Apish:
    async def __call__(self, scope, receive, send):
        pass


def stream(connection, address, *, option=None):
    pass


def program(worker):
    pass


def program_with_option(worker, debug=False):
    pass


def wsgi(environ, start_response):
    pass


async def asgi(scope, receive, send):
    pass


async def coroutine(reader, writer):
    pass


def generator(connection, address):
    yield


async def async_generator(connection, address):
    yield


async def coroutine_of_three(a, b, c):
    pass


def datagram(data, address, reply):
    pass


def anything(*arguments):
    pass


def by_keyword(connection, address, *, database):
    pass


files_of_directory = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (stream, "stream"),
        (lambda connection, address: None, "stream"),
        (lambda connection, address=None: None, "stream"),
        (lambda connection, address=None, more=None: None, "stream"),
        (anything, "stream"),
        (Callable(), "stream"),
        (functools.partial(stream, option=1), "stream"),
        (functools.partial(lambda database, connection, address: None, 1), "stream"),
        (functools.partial(by_keyword, database=1), "stream"),
        (lambda worker: None, "program"),
        (lambda worker, *, debug=False: None, "program"),
        (Callable().run, "program"),
        (coroutine, "asyncio"),
        (AsyncCallable(), "asyncio"),
        (functools.partial(AsyncCallable()), "asyncio"),
        (Protocol, "protocol"),
        (BufferedProtocol, "protocol"),
        (functools.partial(Protocol, database=1), "protocol"),
        (datagram, "datagram"),
        (functools.partial(lambda database, data, address, reply: None, 1), "datagram"),
        (Request, "socketserver"),
        (Datagrams, "socketserver"),
        (socketserver.StreamRequestHandler, "socketserver"),
        (files_of_directory, "socketserver"),
    ],
)
def test_the_kind_is_told_from_the_shape(target, kind):
    """
    Two arguments can be given: stream; one must, and no second can: program.
    """
    assert kind == kind_of(target, "app:target").name


@pytest.mark.parametrize(
    "asked",
    ["auto", "stream", "asyncio", "protocol", "socketserver", "datagram", "program"],
)
@pytest.mark.parametrize(
    ("target", "said"),
    [
        (42, "is of the type int and cannot be called"),
        (None, "cannot be called"),
        (Protocol(), "cannot be called; give the class itself"),
        (generator, "generator function"),
        (async_generator, "generator function"),
        (wsgi, "WSGI application, which this version does not serve"),
        (Flaskish(), "WSGI application"),
        (asgi, "ASGI application, which this version does not serve"),
        (Apish(), "ASGI application"),
        (by_keyword, "app:target"),
        (lambda a, b, c, d: None, "app:target"),
    ],
)
def test_what_cannot_be_served_is_said(target, said, asked):
    """
    With the name of the target in front, and whatever kind is asked for.
    """
    with pytest.raises(HandlerError, match=said) as raised:
        kind_of(target, "app:target", asked)

    assert "app:target" in str(raised.value)


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        (stream, "socketserver"),
        (stream, "program"),
        (stream, "asyncio"),
        (stream, "protocol"),
        (stream, "datagram"),
        (coroutine, "stream"),
        (coroutine, "program"),
        (coroutine_of_three, "asyncio"),
        (coroutine_of_three, "datagram"),
        (Protocol, "stream"),
        (Protocol, "asyncio"),
        (DatagramProtocol, "protocol"),
        (ProtocolOfDatabase, "protocol"),
        (datagram, "stream"),
        (lambda: None, "stream"),
        (program, "stream"),
        (program, "socketserver"),
        (Request, "stream"),
        (Request, "program"),
        (files_of_directory, "stream"),
    ],
)
def test_a_given_kind_is_checked(target, asked):
    """
    Otherwise every connection would fail.
    """
    with pytest.raises(HandlerError, match=f"app:target cannot be served as {asked}: "):
        kind_of(target, "app:target", asked)


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        (program_with_option, "program"),
        (anything, "program"),
        (anything, "stream"),
        (lambda request, client_address, server: None, "socketserver"),
    ],
)
def test_a_given_kind_decides_where_the_shape_does_not(target, asked):
    """
    As long as the target can be called like that.
    """
    assert asked == kind_of(target, "app:target", asked).name


@pytest.mark.parametrize(
    ("target", "kind", "datagrams", "fits"),
    [
        (print, "stream", [False], True),
        (print, "stream", [True], False),
        (print, "asyncio", [False, True], False),
        (print, "protocol", [True], False),
        (print, "datagram", [True, True], True),
        (print, "datagram", [False], False),
        (print, "datagram", [True, False], False),
        (print, "program", [True, False], True),
        (Request, "socketserver", [False], True),
        (Request, "socketserver", [True], True),
        (Request, "socketserver", [True, False], False),
        (Datagrams, "socketserver", [True], True),
        (Datagrams, "socketserver", [False], False),
        (functools.partial(Datagrams), "socketserver", [False], False),
        (socketserver.StreamRequestHandler, "socketserver", [True], False),
        (socketserver.StreamRequestHandler, "socketserver", [False], True),
        (print, "stream", [], True),
    ],
)
def test_a_handler_has_to_fit_its_addresses(target, kind, datagrams, fits):
    """
    ``datagrams`` tells of each address whether it is for datagrams.
    """
    handler = LoadedHandler(target, kind_named(kind), "app:handle")

    if fits:
        check_addresses(handler, datagrams)
    else:
        with pytest.raises(HandlerError, match=r"^app:handle .*(serves|cannot serve)"):
            check_addresses(handler, datagrams)


@pytest.mark.parametrize(
    ("kind", "schemes"),
    [
        ("stream", ("tcp://", "unix:")),
        ("asyncio", ("tcp://", "unix:")),
        ("protocol", ("tcp://", "unix:")),
        ("datagram", ("udp://", "unixgram:")),
        ("socketserver", ("tcp://", "unix:", "udp://", "unixgram:")),
        ("program", ("tcp://", "unix:", "udp://", "unixgram:")),
    ],
)
def test_the_addresses_of_a_kind_show_in_their_schemes(kind, schemes):
    """
    The check of settings, which loads no handler, refuses all others.
    """
    assert schemes == kind_named(kind).schemes


@pytest.mark.parametrize("kind", offered())
@pytest.mark.parametrize("accept", ["auto", "blocking", "exclusive", "mutex"])
def test_an_event_loop_waits_neither_in_accept_nor_for_a_mutex(kind, accept):
    """
    But on Windows a thread waits for the mutex in its place.
    """
    refused = {platform for platform in ("linux", "win32") if _refuses(kind, accept, platform)}

    loops = kind_named(kind).event_loop
    assert refused == (
        {"linux", "win32"}
        if loops and accept == "blocking"
        else {"linux"}
        if loops and accept == "mutex"
        else set()
    )


def _refuses(kind, accept, platform):
    try:
        check_accept(LoadedHandler(print, kind_named(kind), "app:handle"), accept, platform)
    except HandlerError:
        return True
    return False
