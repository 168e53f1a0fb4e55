"""Generated exchanges whose causes are known: what really made the caller wait in each moment, and the spans of it.

``draws`` are durations and events by chance, ``exchange`` builds the dependency graph of one exchange from them and
reads the truth off its critical path, ``native`` writes spans, ``measure`` compares what the models say with the truth.
Nothing here knows the rule by which the models cut.
"""
