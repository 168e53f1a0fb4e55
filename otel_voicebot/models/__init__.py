"""What the numbers mean: one SQL file a model, and the engines that run them.

Each file's header says its inputs, grain, units, numerator, denominator and exclusions. The same texts run in batch
(``Engine``, over a store's files) and live (``prepared.Prepared``, over the rows of what just completed, and
``framed.PreparedCalls``, over whole calls of frameworks; not imported here, as a report would wait for what only a
live state needs). In reading order:

    spans ─► links ─► repeats, nested, traces             whether there are such, then which
    spans ─► once ─► steps (plain where nothing links)    each span once, with its session
    once, nested ─► lent                                  what a nested call tells and the one around it doesn't
    once ─► framed ─► placed ─► exchanges                 turns of frameworks whose spans don't carry them; else empty
    steps ─► parts ─► known ─► judged                     what was waited for (unplaced: no exchanges)
    judged ─► waits ─► stages ─► milestones               when each wait was decided, fed, spoken, and by what
    milestones ─► walked ─► segments ─► cuts              what each wait was spent on
    judged, texts, cuts ─► turns ─► sessions              turns, and how calls went
    turns, segments ─► breakdowns                         what the framework says of the same
    steps ─► operations                                   what was done
    operations ─► components, errors                      sections of a report
    operations, turns, costs ─► observations ─► anomaly_bins   what may become unusual
    sessions ─► outcomes
     sessions ─► calls                                     short, eligible, contained
     turns ─► waits_km, wait_percentiles                   how long callers wait, abandoned waits censored
     calls, turns, components, wait_percentiles ─► kpis    one number each
     sessions, turns, operations, issues, costs ─► per_call what each call adds to them
     sessions ─► contacts ─► issues ─► fcr                 who called again; contacts also give strict_containment
     wide ─► events ─► workflows ─► completion             what bots tell by events
     operations, sessions ─► costs ─► cost_kpis            what is paid for, at the prices that an engine is given
     kpis, fcr, ... ─► all_kpis                            every KPI of a report
     agents, caches, latencies, sla, speech, ...           sections on request, one file each
"""

from otel_voicebot.models.catalog import MODELS, Model, chain
from otel_voicebot.models.engine import Engine
from otel_voicebot.models.selection import FILTERS, Selection
from otel_voicebot.models.terms import Source, Terms

__all__ = ["FILTERS", "MODELS", "Engine", "Model", "Selection", "Source", "Terms", "chain"]
