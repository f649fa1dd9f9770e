"""Settings: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.errors import UsageError
from lakehouse.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LOGINLAKE_{name.upper()}", raising=False)


def test_the_defaults_are_for_one_machine() -> None:
    settings = load_settings()

    assert (settings.root, settings.kafka, settings.host, settings.port) == (
        "./data/lake",
        "127.0.0.1:9092",
        "127.0.0.1",
        8000,
    )


def test_a_flag_takes_precedence_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LOGINLAKE_TOPIC=file\nLOGINLAKE_ROOT=file\nLOGINLAKE_KAFKA=file:1\n")
    monkeypatch.setenv("LOGINLAKE_TOPIC", "environment")
    monkeypatch.setenv("LOGINLAKE_ROOT", "environment")

    settings = load_settings(topic="flag", port=None)
    assert (settings.topic, settings.root, settings.kafka) == ("flag", "environment", "file:1")


def test_one_error_names_all_wrong_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGINLAKE_PORT", "many")
    monkeypatch.setenv("LOGINLAKE_TOPIC", "a b")

    with pytest.raises(UsageError, match=r"LOGINLAKE_TOPIC.*LOGINLAKE_PORT") as refused:
        load_settings()
    assert "\n" not in str(refused.value)


def test_a_kafka_option_that_is_not_allowed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGINLAKE_KAFKA_OPTIONS", '{"plugin.library.paths": "x"}')

    with pytest.raises(
        UsageError, match=r"LOGINLAKE_KAFKA_OPTIONS: unknown plugin\.library\.paths; allowed are sasl\.mechanism"
    ):
        load_settings()


def test_options_that_are_not_json_are_an_error_without_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGINLAKE_KAFKA_OPTIONS", '{"sasl.password": "hidden-word"')

    with pytest.raises(UsageError, match=r"LOGINLAKE_KAFKA_OPTIONS is not JSON\. Write an object") as refused:
        load_settings()
    assert "\n" not in str(refused.value)
    assert "hidden-word" not in str(refused.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGINLAKE_KAFKA_OPTIONS", '{"sasl.password": "hidden-word"}')

    settings = load_settings()
    assert settings.kafka_options["sasl.password"].get_secret_value() == "hidden-word"
    assert "hidden-word" not in repr(settings)


def test_kafka_is_given_if_the_setting_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().kafka_is_given

    monkeypatch.setenv("LOGINLAKE_KAFKA", "127.0.0.1:9092")
    assert load_settings().kafka_is_given


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().root = "elsewhere"


@pytest.mark.parametrize("root", ["s3://bucket/lake", "s3://bucket/lake/"])
def test_the_uri_of_a_table_is_root_layer_and_name(root: str) -> None:
    assert load_settings(root=root).table_uri("silver", "events") == "s3://bucket/lake/silver/events"


@pytest.mark.parametrize(
    ("root", "full"),
    [("./data/../lake/", "HERE/lake"), ("link", "HERE/lake"), ("/lake", "/lake"), ("s3://lake/", "s3://lake")],
)
def test_the_full_root_does_not_depend_on_the_folder_of_a_process(tmp_path: Path, root: str, full: str) -> None:
    (tmp_path / "link").symlink_to("lake")

    assert Settings(root=root, _env_file=None).full_root == full.replace("HERE", str(tmp_path.resolve()))


def test_the_port_of_the_embedded_broker_is_that_of_the_default_servers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGINLAKE_KAFKA", raising=False)
    embedded = Settings(kafka_port=9192, _env_file=None)
    given = Settings(kafka_port=9192, kafka="kafka-1:9093", _env_file=None)

    assert (embedded.kafka, embedded.kafka_is_given) == ("127.0.0.1:9192", False)
    assert (given.kafka, given.kafka_is_given) == ("kafka-1:9093", True)


def test_a_misspelt_name_is_an_error_in_the_environment_and_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LOGINLAKE_RETENTION_DAY=3\n")
    with pytest.raises(UsageError, match=r"LOGINLAKE_RETENTION_DAY is .* Did you mean LOGINLAKE_RETENTION_DAYS\?"):
        load_settings()

    (tmp_path / ".env").unlink()
    monkeypatch.setenv("LOGINLAKE_PORTS", "8001")
    with pytest.raises(UsageError, match=r"LOGINLAKE_PORTS is not a setting. Did you mean LOGINLAKE_PORT\?"):
        load_settings()


def test_a_variable_of_another_program_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGINLAKE_SSHD_LOG", "auth.log")
    monkeypatch.setenv("LOGINLAKE_DASHBOARD_URL", "http://127.0.0.1")

    assert load_settings().port == 8000


def test_the_url_of_the_api_has_brackets_around_an_address_of_version_6() -> None:
    urls = [Settings(host=host, port=80, _env_file=None).api_url for host in ("127.0.0.1", "::1")]

    assert urls == ["http://127.0.0.1:80", "http://[::1]:80"]
