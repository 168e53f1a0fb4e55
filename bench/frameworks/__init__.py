"""Real bots on real frameworks, for tests and benchmarks: only the paid providers are replaced, by a local server."""
