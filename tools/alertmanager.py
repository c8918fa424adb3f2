"""Alertmanager's configuration: who is told of what, and what is not worth telling."""

from typing import Any, Final

from evmon._alerting.promql import DESTINATION, GROUP, INSTANCE, JOB
from evmon._alerting.rules_file import to_yaml

WARNING: Final = "evmon-warning"
CRITICAL: Final = "evmon-critical"
SLACK_URL_FILE: Final = "/etc/alertmanager/secrets/slack_url"
_HEADER: Final = """\
# Made by scripts/generate; the address of the chat is a secret and stays in a file.
"""

_TITLE: Final = (
    '{{ if eq .Status "firing" }}{{ .Alerts.Firing | len }} firing{{ else }}resolved'
    "{{ end }}: {{ .CommonLabels.alertname }} of {{ .CommonLabels.job }}"
    ' ({{ or .CommonLabels.severity "several severities" }})'
)
_TEXT: Final = """\
{{ range .Alerts }}{{ .Status | toUpper }}: {{ .Annotations.summary }}
{{ .Annotations.description }}
Runbook: {{ .Annotations.runbook_url }}
Dashboard: {{ .Annotations.dashboard_url }}
{{ end }}"""


def alertmanager(slack_url_file: str = SLACK_URL_FILE) -> str:
    """The configuration.

    Args:
        slack_url_file: file that holds the address of Slack's webhook.
    """
    return _HEADER + to_yaml(
        {
            "global": {"slack_api_url_file": slack_url_file},
            "route": {
                "receiver": WARNING,
                "group_by": ["alertname", JOB],
                "group_wait": "30s",
                "group_interval": "5m",
                "repeat_interval": "12h",
                "routes": [
                    {
                        "matchers": ['severity = "critical"'],
                        "receiver": CRITICAL,
                        "group_wait": "10s",
                        "repeat_interval": "1h",
                    }
                ],
            },
            "inhibit_rules": _inhibitions(),
            "receivers": [
                _receiver(WARNING, "#evmon-warnings"),
                _receiver(CRITICAL, "#evmon-alerts"),
            ],
        }
    )


def _inhibitions() -> list[dict[str, Any]]:
    return [
        # The same thing twice: who is told that it is critical knows that it is bad.
        {
            "source_matchers": ['severity = "critical"'],
            "target_matchers": ['severity = "warning"'],
            "equal": ["alertname", JOB, INSTANCE, DESTINATION, GROUP],
        },
        # A process that is gone explains all else about it, and about nobody else.
        {
            "source_matchers": ['alertname = "EvmonTargetDown"'],
            "target_matchers": [
                'alertname =~ "Evmon.+"',
                'alertname != "EvmonTargetDown"',
                'instance != ""',
            ],
            "equal": [JOB, INSTANCE],
        },
        {
            "source_matchers": ['alertname = "EvmonServiceAbsent"'],
            "target_matchers": [
                'alertname =~ "Evmon.+"',
                'alertname != "EvmonServiceAbsent"',
            ],
            "equal": [JOB],
        },
    ]


def _receiver(name: str, channel: str) -> dict[str, Any]:
    return {
        "name": name,
        "slack_configs": [
            {
                "channel": channel,
                "send_resolved": True,
                "title": _TITLE,
                "text": _TEXT,
            }
        ],
    }
