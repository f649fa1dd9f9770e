"""ASGI middleware around every request: a request id, one log event, a problem instead of a traceback; HEAD as GET."""

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
# Ids of clients are logged, so only plain ones are accepted.
PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class HeadAsGet:
    """Middleware that answers HEAD as GET; the server omits the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self._app({**scope, "method": "GET", "asked_method": "HEAD"} if is_head else scope, receive, send)


class RequestIds:
    """Middleware that gives each request an id, logs it, and answers 500 if the application raises."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client_id = Headers(scope=scope).get(HEADER.lower(), "")
        request_id = client_id if PLAIN_ID.fullmatch(client_id) else uuid4().hex
        await self._handle(request_id, scope, receive=receive, send=send)

    async def _handle(self, request_id: str, scope: Scope, *, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request_failed", request_id=request_id)
            if status:
                raise
            await problem(INTERNAL, detail=f"See the log for {request_id}")(scope, receive, send_with_id)
        finally:
            # The route, never the path or the query: these contain user names and addresses.
            route = getattr(scope.get("route"), "path", None)
            seconds = round(time.monotonic() - started, 4)
            method = scope.get("asked_method", scope["method"])
            log.info("request", method=method, route=route, status=status, seconds=seconds, request_id=request_id)
