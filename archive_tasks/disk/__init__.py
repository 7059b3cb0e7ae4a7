"""The user's files: looking without leaving a trace, writing without a loss."""
