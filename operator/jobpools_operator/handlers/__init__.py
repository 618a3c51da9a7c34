"""kopf decorators only: parse, hand over, return."""

import kopf

REGISTRY = kopf.OperatorRegistry()
"""Ours alone: kopf's default one brings ways to log in that load a second Kubernetes client."""
