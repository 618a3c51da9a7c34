"""Access to Redis and Valkey. No other package imports `redis`.

Each Lua script is one atomic step, and keys.py names every key.
"""
