"""Settings, loaded once at each entry point and passed down.

Precedence: flag, then environment (`LOGINLAKE_…`), then `.env`, then the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from lakehouse import s3
from lakehouse.errors import UsageError
from lakehouse.refusals import refusal

PREFIX, FILE = "LOGINLAKE_", ".env"
# The type of pydantic's error about a default that is made from a wrong value.
FOLLOWS_FROM_ANOTHER = "default_factory_not_called"

KAFKA_OPTIONS = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.endpoint.identification.algorithm",
    }
)


class Settings(BaseSettings):
    """The settings; each field is `LOGINLAKE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=FILE, extra="ignore", frozen=True)

    root: str = Field(
        "./data/lake",
        description="Folder or `s3://bucket/path` of the lake; the folder of a table is ROOT/<layer>/<name>.",
    )
    state: Path = Field(
        Path("./data/state"), description="Folder of scratch files, and of the embedded broker's data (STATE/broker)."
    )
    conf: Path | None = Field(None, description="Folder to read instead of the packed conf/, with all of its files.")
    kafka_port: int = Field(
        9092, ge=1, le=65535, description="Port of the embedded broker on 127.0.0.1; ignored if LOGINLAKE_KAFKA is set."
    )
    kafka: str = Field(
        default_factory=lambda values: f"127.0.0.1:{values.get('kafka_port', 9092)}",
        description="Kafka servers; by default the embedded broker.",
    )
    kafka_options: dict[str, SecretStr] = Field(
        default_factory=dict, description="SASL and TLS options of the Kafka clients, as JSON."
    )
    topic: str = Field("logs", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The Kafka topic.")
    topic_partitions: int = Field(4, ge=1, description="Partitions of the topic, if it is created here.")
    default_format: str = Field("login", description="Format of records without a header `format`.")
    max_event_age_days: int = Field(
        3653, ge=1, description="An event that is older than this at its append time is broken (implausible_time)."
    )
    max_clock_skew_hours: int = Field(
        24, ge=1, description="An event dated later than this after its append time is broken (implausible_time)."
    )
    bronze_trigger_seconds: float = Field(5.0, gt=0, description="Seconds between two commits of the bronze stream.")
    bronze_max_offsets_per_trigger: int = Field(
        2_000_000, ge=1, description="Maximum number of Kafka offsets in one bronze commit."
    )
    refresh_interval_seconds: float = Field(
        60.0, gt=0, description="Minimum seconds between the starts of two refreshes."
    )
    maintenance_interval_seconds: float = Field(
        3600.0, gt=0, description="Seconds between two maintenance runs of a running lake."
    )
    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that the API listens on.")
    allow_unauthenticated: bool = Field(
        False, description="Allow a non-loopback address without API keys; only behind an authenticating proxy."
    )
    retention_days: int = Field(30, ge=0, le=36_500, description="Days for which every snapshot can be queried.")
    retention_grace_days: int = Field(
        7, ge=0, le=36_500, description="Days for which files are kept after their snapshot has expired."
    )
    spark_master: str = Field("local[*]", description="Spark's master.")
    spark_ui_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of Spark's web pages (jobs, queries, streams); without it there are none.",
    )

    @field_validator("kafka_options")
    @classmethod
    def _only_known_options(cls, options: dict[str, SecretStr]) -> dict[str, SecretStr]:
        unknown = sorted(set(options) - KAFKA_OPTIONS)
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}; allowed are {', '.join(sorted(KAFKA_OPTIONS))}")
        return options

    @property
    def kafka_is_given(self) -> bool:
        """True if LOGINLAKE_KAFKA is set, so that no broker needs to be started."""
        return "kafka" in self.model_fields_set

    @property
    def api_url(self) -> str:
        """The URL of the API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def is_on_s3(self) -> bool:
        """True if the lake is on S3; the `AWS_…` variables name the store (lakehouse/s3.py)."""
        return self.root.startswith(s3.SCHEMES)

    @property
    def full_root(self) -> str:
        """The root as every process names it: a folder by its absolute path without links, no `/` at the end."""
        return self.root.rstrip("/") if self.is_on_s3 else str(Path(self.root).resolve())

    @property
    def is_on_cluster(self) -> bool:
        """True if Spark's executors are other processes than its driver, perhaps on other machines."""
        return not self.spark_master.startswith("local")

    def table_uri(self, layer: str, name: str) -> str:
        """Return the URI of a table."""
        return f"{self.root.rstrip('/')}/{layer}/{name}"


class WrongSettings(UsageError):
    """Values of settings have the wrong type or are out of bounds.

    Args:
        faults: The errors of pydantic.
        options: The options that were given, by the names of their settings.
    """

    def __init__(self, faults: Sequence[Mapping[str, Any]], options: Mapping[str, str] | None = None) -> None:
        self.faults = faults
        given = {name: f"{option} " for name, option in (options or {}).items()}
        reasons = (
            refusal(fault, given.get(name := str(fault["loc"][0]), f"LOGINLAKE_{name.upper()}="))
            for fault in faults
            if fault["type"] != FOLLOWS_FROM_ANOTHER
        )
        super().__init__(f"The settings are wrong: {'; '.join(reasons)}", hint="Correct them and start again")


def load_settings(**flags: Any) -> Settings:
    """Return the settings from flags, environment and `.env`; a flag that is None is ignored.

    Raises:
        WrongSettings: Values have the wrong type or are out of bounds; the error names all of them.
        UsageError: A name in the environment or in `.env` is a misspelt setting.
    """
    _refuse_misspelt_names()
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except SettingsError as error:  # of the one setting that is JSON; its text may be secret
        raise UsageError(
            "The settings are wrong: LOGINLAKE_KAFKA_OPTIONS is not JSON",
            hint="""Write an object of Kafka options, such as '{"security.protocol": "SSL"}'""",
        ) from error
    except ValidationError as error:
        raise WrongSettings(error.errors()) from error


def _refuse_misspelt_names() -> None:
    """Raise if a variable is a misspelt setting: with a misspelt root, a job would write another lake."""
    known = [name.upper() for name in Settings.model_fields]
    given = {name.upper() for name in (*os.environ, *(dotenv_values(FILE) if Path(FILE).exists() else ()))}
    for name in sorted(each.removeprefix(PREFIX) for each in given if each.startswith(PREFIX)):
        if name not in known and (close := get_close_matches(name, known, n=1)):
            raise UsageError(f"{PREFIX}{name} is not a setting", hint=f"Did you mean {PREFIX}{close[0]}?")
