"""The control loop of the operator and of `jobpools up`: observe, plan, apply, report.

Imports neither redis, kopf nor kubernetes.
"""
