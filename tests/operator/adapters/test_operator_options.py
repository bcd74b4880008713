"""Flags, their variables, and what is said of a mistake."""

from pathlib import Path

import pytest

from headgate_operator.options import Options, parse

URI = "--registry-uri=http://mlflow:5000"


def test_only_the_registry_must_be_named() -> None:
    told = parse([URI], {})
    assert told == Options(registry_uri="http://mlflow:5000")
    assert (told.poll_interval, told.resync, told.leader_elect, told.health_port) == (15, 300, True, 8090)


def test_every_flag_can_be_a_variable() -> None:
    told = parse(
        [],
        {
            "HEADGATE_OPERATOR_REGISTRY_URI": "http://mlflow:5000/",
            "HEADGATE_OPERATOR_REGISTRY_CREDENTIALS": "/etc/creds",
            "HEADGATE_OPERATOR_SERVER_IMAGE": "img:1",
            "HEADGATE_OPERATOR_NAMESPACE": "a, b,a",
            "HEADGATE_OPERATOR_ALLOW_REGISTRY": "http://x,https://y/z/",
            "HEADGATE_OPERATOR_ALLOW_PROMETHEUS": "http://prometheus:9090/,https://thanos.example/query",
            "HEADGATE_OPERATOR_ALLOW_WEBHOOK": "bots.example.com,[fd00::1]:8443",
            "HEADGATE_OPERATOR_NOTIFY_SLACK_URL_FILE": "/etc/slack/url",
            "HEADGATE_OPERATOR_NOTIFY_URL_FILE": "/etc/notify/url",
            "HEADGATE_OPERATOR_POLL_INTERVAL": "1m30s",
            "HEADGATE_OPERATOR_RESYNC": "10m",
            "HEADGATE_OPERATOR_NO_LEADER_ELECT": "True",
            "HEADGATE_OPERATOR_LEASE_NAMESPACE": "ops",
            "HEADGATE_OPERATOR_LEASE_NAME": "l",
            "HEADGATE_OPERATOR_HEALTH_HOST": "127.0.0.1",
            "HEADGATE_OPERATOR_HEALTH_PORT": "1",
            "HEADGATE_OPERATOR_KUBECONFIG": "/k",
            "HEADGATE_OPERATOR_LOG_FORMAT": "text",
        },
    )
    assert told == Options(
        registry_uri="http://mlflow:5000",
        registry_credentials=Path("/etc/creds"),
        server_image="img:1",
        namespaces=("a", "b"),
        allow_registry=("http://x", "https://y/z"),
        allow_prometheus=("http://prometheus:9090", "https://thanos.example/query"),
        allow_webhook=("bots.example.com", "[fd00::1]:8443"),
        notify_slack_url_file=Path("/etc/slack/url"),
        notify_url_file=Path("/etc/notify/url"),
        poll_interval=90,
        resync=600,
        leader_elect=False,
        lease_namespace="ops",
        lease_name="l",
        health_host="127.0.0.1",
        health_port=1,
        kubeconfig="/k",
        log_format="text",
    )


def test_a_flag_wins_over_its_variable() -> None:
    assert parse([URI], {"HEADGATE_OPERATOR_REGISTRY_URI": "http://other"}).registry_uri == "http://mlflow:5000"
    assert parse([URI, "--resync", "1m"], {"HEADGATE_OPERATOR_RESYNC": "9m"}).resync == 60


def test_false_is_false() -> None:
    assert parse([URI], {"HEADGATE_OPERATOR_NO_LEADER_ELECT": "false"}).leader_elect


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([], {}, "--registry-uri"),
        (["--registry-uri", "mlflow:5000"], {}, "http:// or https://"),
        (["--registry-uri", "http://u:p@mlflow"], {}, "no user or password"),
        ([URI, "--poll-interval", "15"], {}, "not a duration such as 15s"),
        ([URI, "--resync", "0s"], {}, "longer than 0s"),
        ([URI], {"HEADGATE_OPERATOR_POLL_INTERVAL": "soon"}, "HEADGATE_OPERATOR_POLL_INTERVAL"),
        ([URI], {"HEADGATE_OPERATOR_LOG_FORMAT": "xml"}, "HEADGATE_OPERATOR_LOG_FORMAT"),
        ([URI], {"HEADGATE_OPERATOR_NO_LEADER_ELECT": "perhaps"}, "neither true nor false"),
        ([URI, "--allow-webhook", "https://bots.example.com"], {}, "not a host or host:port"),
        ([URI, "--surprise"], {}, "--surprise"),
    ],
)
def test_a_mistake_is_named(
    arguments: list[str], environment: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments, environment)
    assert exit_.value.code == 2
    assert says in capsys.readouterr().err


def test_help_gives_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    assert "examples:" in capsys.readouterr().out
