"""kopf handlers: each parses an object and hands it to the controller."""

import kopf

REGISTRY = kopf.OperatorRegistry()
"""The operator's own registry. kopf's default one has login handlers that load a second Kubernetes client."""
