"""What the routes are given, each named once as a type."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request

from serving.fallback import FallbackStore
from serving.formats import FORMAT, media_type
from serving.freshness import BrokerLag
from serving.parameters import AS_OF, SNAPSHOT, Given, Parameter, given
from serving.responses import Answering

# Every route that reads rows takes these.
READ: tuple[Parameter[Any], ...] = (AS_OF, SNAPSHOT, FORMAT)


class Asked:
    """The parameters of a request; each route says which ones it takes."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def of(self, *takes: Parameter[Any]) -> Given:
        """The parameters, once checked.

        Raises:
            UnknownParameter: One is not among `takes`, or given more often than it may be.
        """
        return given(self._request.query_params.multi_items(), takes)


def takes(*parameters: Parameter[Any]) -> dict[str, Any]:
    """What OpenAPI shall say that a route takes; later parameters of the same name are left out."""
    by_name = {parameter.name: parameter for parameter in reversed(parameters)}
    return {"parameters": [parameter.openapi() for parameter in reversed(by_name.values())]}


class Answers:
    """Makes answers in the format that the request wants."""

    def __init__(self, request: Request, watch: Watching) -> None:
        self._request = request
        self._watch = watch

    def to(self, asked: Given) -> Answering:
        """How to answer what was asked.

        Raises:
            NotAcceptable: The client takes none of our formats.
        """
        headers = self._request.headers
        return Answering(headers, media_type(asked.one(FORMAT), headers.get("accept")), self._watch.freshness)


def _store(request: Request) -> Any:
    return request.app.state.store


def _watch(request: Request) -> Any:
    return request.app.state.watch


def _now(request: Request) -> Any:
    return request.app.state.clock()


Reading: TypeAlias = Annotated[FallbackStore, Depends(_store)]
Watching: TypeAlias = Annotated[BrokerLag, Depends(_watch)]
Now: TypeAlias = Annotated[datetime, Depends(_now)]
Asking: TypeAlias = Annotated[Asked, Depends(Asked)]
Answered: TypeAlias = Annotated[Answers, Depends(Answers)]
