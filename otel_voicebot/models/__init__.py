"""What the numbers mean: one SQL file a model, and the engines that run them.

Each file's header says its inputs, grain, units, numerator, denominator and exclusions. The same texts run in batch
(``Engine``, over a store's files) and live (``Prepared``, over the rows of what just completed). In reading order:

    spans ─► repeats, nested, traces ─► once ─► steps     each span once, with its session
    steps ─► operations, turns ─► sessions                what was done, what was waited for, how calls went
    operations ─► components, errors                      sections of a report
    sessions ─► outcomes
    sessions, turns, components ─► kpis                   one number each
"""

from otel_voicebot.models.catalog import MODELS, Model, chain
from otel_voicebot.models.engine import Engine, Selection, Source
from otel_voicebot.models.prepared import Prepared

__all__ = ["MODELS", "Engine", "Model", "Prepared", "Selection", "Source", "chain"]
