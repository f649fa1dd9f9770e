"""`/docs`: Swagger UI with its own copy of the assets, and the page that explains the problems."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from serving.problems import PAGE, problems_page

ASSETS = "/docs/assets"

router = APIRouter(include_in_schema=False)


def add_docs(app: FastAPI) -> None:
    """Add the pages and the assets that they load, so that no page loads anything from another host."""
    app.include_router(router)
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")


@router.get("/")
def home() -> RedirectResponse:
    """Redirect to the docs."""
    return RedirectResponse("/docs")


@router.get("/docs")
def docs() -> HTMLResponse:
    """Return Swagger UI for /openapi.json."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Loginlake",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
    )


@router.get(PAGE)
def problems() -> HTMLResponse:
    """Return the page that the `type` of every problem links to."""
    return HTMLResponse(problems_page())
