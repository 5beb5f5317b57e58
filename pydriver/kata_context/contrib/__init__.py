"""What surrounds the core: importers, integrations, reports. Only commands import it, when they run."""
