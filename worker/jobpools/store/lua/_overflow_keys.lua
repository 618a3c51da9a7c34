-- The keys that only a queue with an overflow needs. Needs the local key_prefix.
local dead_letters, history, since = key_prefix .. 'dead', key_prefix .. 'history', key_prefix .. 'since'
local waiters, waiters_old = key_prefix .. 'waiters', key_prefix .. 'waiters:old'
