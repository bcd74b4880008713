"""The settings: one table for environment, command line, help and the reference page."""

import re
from pathlib import Path

import pytest

from headgate_server import settings
from headgate_server.reasons import MEANING, TRANSIENT, Reason
from headgate_server.settings import Golden, Reference, Requirements, SettingsError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "server.md"


def test_a_path_alone_is_enough():
    config = settings.load(["--model", "./model"], {})
    assert (config.model, config.port, config.ops_port) == ("./model", 8080, 8081)
    assert (config.connection_max_age, config.drain_delay) == (15, 5)
    assert config.golden is Golden.INPUT_EXAMPLE


def test_the_command_line_wins_over_the_environment():
    config = settings.load(["--port=1234"], {"HEADGATE_MODEL": "m", "HEADGATE_PORT": "99", "HEADGATE_TIMEOUT": "2.5"})
    assert (config.port, config.timeout) == (1234, 2.5)


def test_words_are_taken_in_any_case():
    config = settings.load([], {"HEADGATE_MODEL": "m", "HEADGATE_GOLDEN": "DISABLED", "HEADGATE_REQUIREMENTS": "warn"})
    assert (config.golden, config.requirements) == (Golden.DISABLED, Requirements.WARN)


def test_an_empty_variable_means_not_set():
    assert settings.load([], {"HEADGATE_MODEL": "m", "HEADGATE_PORT": ""}).port == 8080


def test_kubernetes_own_variable_for_a_service_called_headgate_is_no_port():
    assert settings.load([], {"HEADGATE_MODEL": "m", "HEADGATE_PORT": "tcp://10.0.0.1:80"}).port == 8080


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEADGATE_PORT", "eighty"),
        ("HEADGATE_PORT", "70000"),
        ("HEADGATE_TIMEOUT", "-1"),
        ("HEADGATE_TIMEOUT", "0"),
        ("HEADGATE_TIMEOUT", "1.2.3"),
        ("HEADGATE_GOLDEN", "Maybe"),
        ("HEADGATE_MODEL_DIGEST", "sha256:abc"),
        ("HEADGATE_MAX_BODY_BYTES", "8Mi"),
        ("HEADGATE_REGISTRY_URI", "mlflow:5000"),
        ("HEADGATE_CONNECTION_MAX_AGE", "never"),
        ("HEADGATE_WORKERS", "0"),
        ("HEADGATE_WORKERS", "65"),
        ("HEADGATE_WORKERS", "auto"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_setting(variable, value):
    with pytest.raises(SettingsError, match=variable):
        settings.load([], {"HEADGATE_MODEL": "m", variable: value})


@pytest.mark.parametrize("model", ["", "models:/iris", "models:/iris/latest", "models:/a/b/1", "s3://bucket/model"])
def test_a_model_that_names_nothing_is_refused(model):
    with pytest.raises(SettingsError, match="--model"):
        settings.load([], {"HEADGATE_MODEL": model, "HEADGATE_REGISTRY_URI": "http://localhost:5000"})


def test_a_model_in_the_registry_needs_the_registry():
    with pytest.raises(SettingsError, match="HEADGATE_REGISTRY_URI"):
        settings.load(["--model=models:/iris/1"], {})


def test_a_name_is_unquoted():
    assert settings.registry_reference("models:/my%20iris%C3%A9/12") == Reference("my irisé", version="12")


def test_a_misspelled_variable_is_told_and_other_programs_ones_are_not():
    environment = {
        "HEADGATE_MAX_BODY_BYTE": "1",
        "HEADGATE_OPERATOR_NAMESPACE": "x",
        "HEADGATE_IRIS_SERVICE_HOST": "10.0.0.1",
        "HEADGATE_IRIS_PORT_80_TCP_ADDR": "10.0.0.1",
        "HEADGATE_PORT": "1",
    }
    assert settings.unknown(environment) == ["HEADGATE_MAX_BODY_BYTE"]


def test_help_names_every_setting_by_flag_and_variable():
    text = re.sub(r"\s+", " ", settings.parser().format_help())
    for setting in settings.SETTINGS:
        assert setting.flag in text
        assert setting.variable in text


def test_the_reference_page_holds_the_table_of_settings():
    assert settings.table() in PAGE.read_text(encoding="utf-8"), "paste the text of settings.table()"


def test_the_reference_page_lists_every_reason():
    page = PAGE.read_text(encoding="utf-8")
    for reason in Reason:
        kind = "transient" if reason in TRANSIENT else "permanent"
        assert f"| `{reason}` | {kind} | {MEANING[reason]} |" in page
