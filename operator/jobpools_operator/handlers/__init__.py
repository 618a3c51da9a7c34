"""kopf handlers. They parse objects and pass them to the controller."""

import kopf

REGISTRY = kopf.OperatorRegistry()
"""The operator's own registry. kopf's default one has login handlers that load a second Kubernetes client."""
