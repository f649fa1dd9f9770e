"""`/docs`: Swagger UI from our own process, and the page that explains the problems."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from serving.problems import PAGE, problems_page

ASSETS = "/docs/assets"

router = APIRouter(include_in_schema=False)


def add_docs(app: FastAPI) -> None:
    """Adds the pages and the files that they load, so that no page loads anything from elsewhere."""
    app.include_router(router)
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")


@router.get("/")
def home() -> RedirectResponse:
    """Leads to the docs until there is a page of its own."""
    return RedirectResponse("/docs")


@router.get("/docs")
def docs() -> HTMLResponse:
    """Swagger UI over /openapi.json."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Loginlake",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
    )


@router.get(PAGE)
def problems() -> HTMLResponse:
    """Where the `type` of every problem leads."""
    return HTMLResponse(problems_page())
