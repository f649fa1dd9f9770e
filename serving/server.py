"""The API as a process: its port, its signals, its end."""

from __future__ import annotations

import signal
import socket
import sys

import structlog
import uvicorn

from lakehouse.addresses import is_loopback, other_port_hint, port_taken
from lakehouse.entrypoint import print_text
from lakehouse.errors import UsageError
from lakehouse.lake_folder import check_folder_exists, has_tables
from lakehouse.locks import reader_lock
from lakehouse.settings import Settings
from serving.app import create_app

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Answer requests until SIGTERM or Ctrl-C; requests in flight are answered first.

    Raises:
        LakeMissing: The folder of the lake does not exist; one without tables is served, since a job may create them.
        PortTaken: Another process listens on the port.
        UsageError: The host is not a loopback address, and unauthenticated access is not allowed.
    """
    require_loopback(settings)
    check_folder_exists(settings)
    listener = listening_socket(settings)
    # No log configuration of uvicorn: the middleware logs requests, and its errors reach standard error.
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False))
    if not settings.is_on_s3 and not has_tables(settings):
        log.warning("lake_has_no_tables", root=settings.root)
    with reader_lock(settings):  # waits for maintenance
        # For a signal that arrives before uvicorn installs its handlers, and for the one that uvicorn raises again when
        # it has stopped.
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: setattr(server, "should_exit", True))
        _announce(settings)
        server.run(sockets=[listener])


def require_loopback(settings: Settings) -> None:
    """Raise unless the API listens on a loopback address or unauthenticated access is allowed.

    Raises:
        UsageError: The host is not a loopback address, and unauthenticated access is not allowed.
    """
    if settings.allow_unauthenticated or is_loopback(settings.host):
        return
    raise UsageError(
        f"The API has no authentication, and other machines can reach {settings.host}",
        hint="Listen on 127.0.0.1, or set LOGINLAKE_ALLOW_UNAUTHENTICATED=true behind an authenticating proxy",
    )


def listening_socket(settings: Settings) -> socket.socket:
    """Return the listening socket of the API, taken before anything else is started.

    Raises:
        PortTaken: Another process listens on the port, or the address can't be used.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        what = f"The API can't listen on {settings.host}:{settings.port}"
        raise port_taken(what, error, port=settings.port, hint=other_port_hint("port", 8080)) from error
    # Connections inherit it. asyncio sets it only on sockets that it made; without it each answer waits for 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _announce(settings: Settings) -> None:
    """Say where the API answers: in a sentence on a terminal, as an event elsewhere."""
    url = settings.api_url
    if sys.stderr.isatty():
        print_text(f"The API answers at {url} and is documented at {url}/docs ; Ctrl-C stops it", err=True)
    else:
        log.info("serving", url=url, docs=f"{url}/docs")
