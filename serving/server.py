"""The API as a process: the port, the signals, the end."""

from __future__ import annotations

import signal
import socket

import structlog
import uvicorn

from lakehouse.addresses import is_loopback
from lakehouse.errors import PortTaken, UsageError
from lakehouse.locks import reader_lock
from lakehouse.settings import Settings
from serving.app import create_app

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Answers requests until SIGTERM or Ctrl-C; requests in flight are answered first.

    Raises:
        PortTaken: Another process listens there.
        UsageError: The host is not loopback, and nothing says that the door is guarded.
    """
    refuse_open_door(settings)
    listener = listening_socket(settings)
    # No log configuration of its own: requests are logged by us, its errors reach standard error.
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False))
    # uvicorn raises the signal that stopped it once more when all is answered: nothing is left to do then.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: None)
    log.info("serving", url=f"http://{settings.host}:{settings.port}")
    with reader_lock(settings):
        server.run(sockets=[listener])


def refuse_open_door(settings: Settings) -> None:
    """Holds the API to loopback.

    Raises:
        UsageError: The host is not loopback, and nothing says that the door is guarded.
    """
    if settings.allow_unauthenticated or is_loopback(settings.host):
        return
    raise UsageError(
        f"{settings.host} can be reached from other machines, and the API asks for no key",
        hint="Listen on 127.0.0.1, or set LOGINLAKE_ALLOW_UNAUTHENTICATED=true where something else guards the door",
    )


def listening_socket(settings: Settings) -> socket.socket:
    """The socket of the API, taken before anything else is started.

    Raises:
        PortTaken: It can't be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise PortTaken(
            f"The API can't listen on {settings.host}:{settings.port} ({error.strerror})",
            hint="Stop what listens there, or choose another port with LOGINLAKE_PORT or --port",
            port=settings.port,
        ) from error
    # Connections inherit it; asyncio sets it only on sockets that it made, and without it each answer waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
