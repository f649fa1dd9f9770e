"""The JSON Schema of format login, for those who send events."""

from __future__ import annotations

import json

import msgspec

from silver.formats.login import Login

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def login_schema() -> str:
    """The JSON Schema of a login event, as `docs/schemas/login.schema.json` has it.

    Stricter than the decoder in one thing: an action that is none of ours is refused here and ignored there.
    """
    return json.dumps({"$schema": DIALECT, **msgspec.json.schema(Login)}, indent=2) + "\n"
