"""A configuration of Prometheus' Alertmanager that sends alerts where their labels say."""

from typing import Final

import yaml

from otel_voicebot.exporters.slo.compiled import Compiled
from otel_voicebot.exporters.slo.forms import CHANNELS, Channel

__all__ = ["alertmanager_file"]

_SECRETS: Final = "/etc/alertmanager/secrets"
_SUMMARY: Final = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}"
_DETAILS: Final = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ with .Annotations.owner }}Owner: {{ . }}\n{{ end }}"
    "{{ .Annotations.runbook }}\n\n{{ end }}"
)
_TITLE: Final = "[{{ .Status | toUpper }}] {{ .CommonLabels.alertname }} {{ .CommonLabels.bot }}"

_RECEIVERS: Final[dict[Channel, dict[str, object]]] = {
    "mail": {
        "email_configs": [
            {
                "to": "oncall@example.com",
                "send_resolved": True,
                "headers": {"Subject": _TITLE},
                "text": _DETAILS,
            }
        ]
    },
    "slack": {
        "slack_configs": [
            {
                "api_url_file": f"{_SECRETS}/slack_url",
                "channel": "#voicebot",
                "send_resolved": True,
                "title": _TITLE,
                "text": _DETAILS,
            }
        ]
    },
    "webhook": {"webhook_configs": [{"url": "http://127.0.0.1:9095/alerts", "send_resolved": True}]},
    "pagerduty": {
        "pagerduty_configs": [
            {"routing_key_file": f"{_SECRETS}/pagerduty_key", "description": _SUMMARY, "details": {"text": _DETAILS}}
        ]
    },
    "opsgenie": {
        "opsgenie_configs": [{"api_key_file": f"{_SECRETS}/opsgenie_key", "message": _TITLE, "description": _DETAILS}]
    },
}


def alertmanager_file(compiled: Compiled) -> str:
    """An example for all channels (YAML): names, addresses and the files of secrets are to be put in.

    Args:
        compiled: the alerts. Each of their labels ``repeat`` needs a route of its own, and by what is judged apart
            alerts are: one model's critical one doesn't silence another's warning.
    """
    routes = [_route(channel, repeat) for channel in CHANNELS for repeat in compiled.repeats]
    apart = list(dict.fromkeys(["bot", *(name for alert in compiled.alerts for name in alert.about.by)]))
    whole = {
        "global": {
            "resolve_timeout": "5m",
            "smtp_smarthost": "smtp.example.com:587",
            "smtp_from": "voicebot@example.com",
            "smtp_auth_username": "voicebot",
            "smtp_auth_password_file": f"{_SECRETS}/smtp_password",
            "smtp_require_tls": True,
        },
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "slo", "target", *apart],
            "group_wait": "10s",
            "group_interval": "1m",
            "routes": routes,
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="slo_burn"', 'severity="critical"'],
                "target_matchers": ['alertname="slo_burn"', 'severity="warning"'],
                "equal": ["slo", *apart],
            }
        ],
        "receivers": [{"name": "nobody"}, *({"name": name, **told} for name, told in _RECEIVERS.items())],
    }
    return yaml.safe_dump(whole, sort_keys=False, width=1000, allow_unicode=True)


def _route(channel: Channel, repeat: str) -> dict[str, object]:
    return {
        "receiver": channel,
        "matchers": [f'channels=~"(.*,)?{channel}(,.*)?"', f'repeat="{repeat}"'],
        "repeat_interval": repeat,
        "continue": True,
    }
