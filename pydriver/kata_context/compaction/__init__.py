"""Compaction by a model: the compactor, what it summarizes, and probes of what is left."""
