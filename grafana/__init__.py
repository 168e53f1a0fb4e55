"""The source of the dashboards of Grafana 11.6 and later: ``python -m grafana.generate`` writes ``dashboards/``.

Names of metrics and labels come from ``otel_voicebot.semconv``: one that isn't there is an error here.
"""
