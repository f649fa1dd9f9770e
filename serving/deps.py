"""The dependencies of routes, each declared once as a type."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request

from serving.fallback import FallbackStore
from serving.formats import FORMAT, JSON, media_type
from serving.freshness import BrokerLag
from serving.parameters import AS_OF, SNAPSHOT, Parameter, QueryParams, check_params
from serving.responses import Responder

# Every route that reads rows accepts these.
READ: tuple[Parameter[Any], ...] = (AS_OF, SNAPSHOT, FORMAT)


class RequestContext:
    """The parameters and headers of one request; each route names the parameters that it accepts."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def params(self, *allowed: Parameter[Any]) -> QueryParams:
        """Return the checked parameters.

        Raises:
            UnknownParameter: One is not allowed, or repeated although it takes one value.
        """
        return check_params(self._request.query_params.multi_items(), allowed)

    def responder(self, params: QueryParams) -> Responder:
        """Return what writes the answer in the requested format.

        Raises:
            NotAcceptable: The client accepts none of our formats.
        """
        headers = self._request.headers
        lag: BrokerLag = self._request.app.state.broker_lag
        return Responder(headers, media_type(params.one(FORMAT), headers.get("accept")), lag.freshness)


def accepts(*parameters: Parameter[Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a route's parameters; of those with the same name, the first counts."""
    by_name: dict[str, Parameter[Any]] = {}
    for parameter in parameters:
        by_name.setdefault(parameter.name, parameter)
    return {"parameters": [parameter.openapi() for parameter in by_name.values()]}


# Coroutines, since FastAPI runs other dependencies in the thread pool, where they wait behind queries.
async def _context(request: Request) -> RequestContext:
    return RequestContext(request)


async def _check_json_is_accepted(request: Request) -> None:
    media_type(None, request.headers.get("accept"), offered=(JSON,))


async def _store(request: Request) -> Any:
    return request.app.state.store


async def _broker_lag(request: Request) -> Any:
    return request.app.state.broker_lag


async def _now(request: Request) -> Any:
    return request.app.state.clock()


# For routes that answer in JSON only. The probes have no such check: a 406 would be taken for a failure.
JSON_ONLY = [Depends(_check_json_is_accepted)]

ContextDep: TypeAlias = Annotated[RequestContext, Depends(_context)]
StoreDep: TypeAlias = Annotated[FallbackStore, Depends(_store)]
BrokerLagDep: TypeAlias = Annotated[BrokerLag, Depends(_broker_lag)]
NowDep: TypeAlias = Annotated[datetime, Depends(_now)]
