from __future__ import annotations

from lakehouse.session import page_settings
from lakehouse.settings import Settings


def test_spark_has_no_pages_unless_a_port_is_set() -> None:
    assert page_settings(Settings(_env_file=None)) == {}


def test_a_port_turns_on_pages_that_only_show() -> None:
    settings = page_settings(Settings(spark_ui_port=4040, _env_file=None))

    assert (settings["spark.ui.enabled"], settings["spark.ui.port"]) == ("true", "4040")
    assert settings["spark.ui.killEnabled"] == "false"
