"""The loop that a cluster and a laptop share: observe, plan, apply, report.

Knows neither redis, kopf nor kubernetes.
"""
