"""Reports in one file: what was fitted on what, how good it is, and what it cannot say."""
