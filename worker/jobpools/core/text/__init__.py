"""Pure functions on text: durations, names, suggestions, and the wording of errors."""
