"""Around every request: an id that the answer and the log share, one log line, a problem where we failed; HEAD."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import INTERNAL, problem

log = structlog.get_logger()

HEADER = "X-Request-ID"
# Ids from outside end up in logs, so only plain ones are taken over.
PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class HeadAsGet:
    """ASGI middleware that answers HEAD as GET; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection of the server."""
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self._app({**scope, "method": "GET"} if is_head else scope, receive, send)


class RequestIds:
    """ASGI middleware that names, logs and, where it must, ends a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER.lower(), "")
        await self._named(given if PLAIN_ID.fullmatch(given) else uuid4().hex, scope, receive=receive, send=send)

    async def _named(self, request_id: str, scope: Scope, *, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            log.exception("request_failed", request_id=request_id)
            if status:
                raise
            await problem(INTERNAL, detail=f"See the log for {request_id}")(scope, receive, send_named)
        finally:
            # The route, never the path or the query: these hold user names and addresses.
            route = getattr(scope.get("route"), "path", None)
            seconds = round(time.monotonic() - started, 4)
            log.info("request", request_id=request_id, route=route, status=status, seconds=seconds)
