"""Redis and Valkey: the only importer of `redis`. One Lua script is one atomic step; keys.py names every key."""
