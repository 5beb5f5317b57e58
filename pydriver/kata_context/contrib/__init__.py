"""What surrounds the core: importers, integrations, reports. The core never imports it."""
