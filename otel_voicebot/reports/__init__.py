"""Reports: each computes a frozen dataclass from tables and renders it.

``report`` has the KPIs of a window, ``slow`` the slowest turns, ``trace`` one call or turn as a waterfall, ``compare``
two groups of calls (``comparison`` writes it), ``charts`` pictures of turns. ``answer`` puts a report together: KPIs
(``kpis``), ``sections``, ``groups``, the period before; ``board`` writes it as a page, ``drawings`` as PNG, both from
``plots``. They read tables by name through ``Tables``, so
that a report knows neither where rows come from nor who asks.
"""

from otel_voicebot.reports.tables import Tables

__all__ = ["Tables"]
