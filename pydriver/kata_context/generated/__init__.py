"""What `make generate` writes; nothing here is edited by hand."""
