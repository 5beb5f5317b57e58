"""Exit codes of `kata`."""

FAILED = 1
MISUSED = 2
UNREACHABLE = 3
NOT_MIGRATED = 4
INTERRUPTED = 130  # as the shell has it: 128 and the number of the signal
PIPE_CLOSED = 141
