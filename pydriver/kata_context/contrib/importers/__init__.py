"""Conversations of other programs: one module per format, recognized by what a file holds.

    for conversation in recognize(source).read(source):
        load(kata, conversation)

A package adds a format of its own under the entry point group `kata_context.importers`; docs/importing.md has
one in forty lines.
"""

from kata_context.contrib.importers.conversation import Conversation, Entry, Importer, Source
from kata_context.contrib.importers.loading import Loaded, load
from kata_context.contrib.importers.registry import importers, recognize

__all__ = ["Conversation", "Entry", "Importer", "Loaded", "Source", "importers", "load", "recognize"]
