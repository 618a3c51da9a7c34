"""Runs handlers: registry and App, execution, leases, the worker process."""
