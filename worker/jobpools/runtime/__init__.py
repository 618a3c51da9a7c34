"""Runs handlers: loading an app, execution, leases, the worker process."""
