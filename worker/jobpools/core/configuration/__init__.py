"""Settings of a process: their table, their sources and the rule by which one value is chosen."""
