"""The control loop of the operator and of `jobpools up`: observe, plan, apply, report.

Does not import redis, kopf or kubernetes.
"""
