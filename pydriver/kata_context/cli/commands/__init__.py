"""The commands of `kata`, a module per family; each is imported only when it is called."""
