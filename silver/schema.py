"""The JSON Schema of the format `login`, for applications that send events."""

from __future__ import annotations

import json

import msgspec

from silver.formats.login import Login

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def login_schema() -> str:
    """Return the JSON Schema of a login event, the text of `docs/schemas/login.schema.json`.

    It is stricter than the decoder in one point: it refuses an unknown action, which the decoder ignores.
    """
    return json.dumps({"$schema": DIALECT, **msgspec.json.schema(Login)}, indent=2) + "\n"
