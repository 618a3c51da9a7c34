"""Kubernetes-native background jobs for Python: `App`, `@app.job`, `enqueue`."""
