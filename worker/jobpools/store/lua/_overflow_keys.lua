-- The keys of a queue that limit it and hold what it drops: derived, because every call would carry their names. Needs the key results.
local key_prefix = string.sub(results, 1, -#'results' - 1)
local policy, dead_letters, history = key_prefix .. 'policy', key_prefix .. 'dead', key_prefix .. 'history'
local waiters, waiters_old = key_prefix .. 'waiters', key_prefix .. 'waiters:old'
