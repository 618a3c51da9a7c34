"""The operator: what Kubernetes adds to jobpools, such as watches, Deployments, statuses and the Lease."""
