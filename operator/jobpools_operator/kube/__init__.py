"""The Kubernetes side of the operator: the only package that imports `kubernetes`."""
