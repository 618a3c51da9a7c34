"""Only what Kubernetes adds to jobpools: watches, Deployments, status, the Lease."""
