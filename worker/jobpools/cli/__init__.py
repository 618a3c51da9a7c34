"""The `jobpools` command: reads arguments and the environment, composes the layers, prints. Decides nothing."""
