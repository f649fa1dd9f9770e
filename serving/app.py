"""The API as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lakehouse.clock import Clock, utc_now
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from serving.docs_pages import add_docs
from serving.fallback import FallbackStore
from serving.freshness import BrokerLag
from serving.middleware import HeadAsGet, RequestIds
from serving.problems import MEDIA_TYPE, on_http_error, on_invalid_body, on_lakehouse_error
from serving.routes import detections, freshness, metrics, probes, snapshots, tables, views

DESCRIPTION = """Login events as metrics, detections and tables, at any published snapshot.

Every read accepts `as_of` or `snapshot`; every answer states what it covers. See docs/api.md of the project."""


def create_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """Return the application over the lake and the broker that the settings name.

    Its lifespan reads the lake before the first request, and keeps it and the broker's offsets up to date.
    """
    store, broker_lag = FallbackStore(settings, clock), BrokerLag(settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        broker_lag.start()
        store.start()
        yield
        store.stop()
        broker_lag.stop()

    app = FastAPI(
        title="Loginlake",
        version=version("loginlake"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"description": "A problem (RFC 9457)", "content": {MEDIA_TYPE: {}}}},
    )
    app.state.settings = settings
    app.state.full_root = settings.full_root
    app.state.store = store
    app.state.broker_lag = broker_lag
    app.state.clock = clock
    app.add_exception_handler(LakehouseError, on_lakehouse_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid_body)
    app.add_middleware(RequestIds)
    app.add_middleware(HeadAsGet)
    for resource in (metrics, detections, views, tables, snapshots, freshness, probes):
        app.include_router(resource.router)
    add_docs(app)
    return app
