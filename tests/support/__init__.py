"""What tests share: programs, fixtures, the model of the specification."""
