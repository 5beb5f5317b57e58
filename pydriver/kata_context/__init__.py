"""Kata Context: a context store for LLM agents that lives inside Postgres."""

__version__ = "0.1.0.dev0"
