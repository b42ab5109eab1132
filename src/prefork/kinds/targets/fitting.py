"""Whether a kind, or a handler of it, fits the settings and the addresses."""

from collections.abc import Collection

from prefork.errors import HandlerError
from prefork.kinds import HERE
from prefork.kinds.targets.finding import LoadedHandler


def check_accept(handler: LoadedHandler, accept: str, platform: str = HERE) -> None:
    """Raise HandlerError when ``handler`` cannot wait for connections as ``accept`` asks."""
    kind = handler.kind
    if accept != "auto" and accept not in kind.possible_accepts(platform):
        possible = kind.accepts  # what settings refuse on Windows is not repeated
        raise HandlerError(
            f"{handler.name} is of the kind {kind.name}, which cannot wait as accept = {accept} "
            f"says; auto and {' and '.join(possible)} are possible"
        )


def check_addresses(handler: LoadedHandler, datagrams: Collection[bool]) -> None:
    """Raise HandlerError when ``handler`` does not serve what its addresses are for.

    ``datagrams`` is, for each address, whether it is one for datagrams.
    """
    kind, name = handler.kind, handler.name
    serves = kind.serves if kind.target_serves is None else kind.target_serves(handler.target)
    if "datagrams" not in serves and True in datagrams:
        raise HandlerError(
            f"{name} is of the kind {kind.name} and serves connections; an address for datagrams, "
            "as udp:// and unixgram: are, needs a handle(data, address, reply)"
        )
    if "connections" not in serves and False in datagrams:
        raise HandlerError(
            f"{name} is of the kind {kind.name} and serves datagrams; its addresses are "
            "udp://HOST:PORT and unixgram:PATH"
        )
    if not kind.mixes and len(set(datagrams)) > 1:
        raise HandlerError(
            f"{name} cannot serve connections and datagrams at once, whose requests differ"
        )
