"""Reports: each computes a frozen dataclass from tables and renders it.

``report`` has the KPIs of a window, ``slow`` the slowest turns, ``trace`` one call or turn as a waterfall, ``compare``
two groups of calls (``comparison`` writes it), ``charts`` pictures. They read tables by name through ``Tables``, so
that a report knows neither where rows come from nor who asks.
"""

from otel_voicebot.reports.tables import Tables

__all__ = ["Tables"]
