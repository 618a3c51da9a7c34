-- unschedule: delete a schedule made in code, and what is known of it.
-- KEYS: specs state code disabled recent changes
-- ARGV: schedule spec
--   schedule: its key; spec: as JSON: nothing is deleted if it has changed; '' to delete it whatever it is
-- RETURNS: its spec as JSON, or nil when there is none, or another one
-- CHANGES: specs, state, code, disabled, recent; counts up changes
local known = redis.call('HGET', specs, schedule)
if spec ~= '' and known ~= spec then return nil end
for _, key in ipairs({specs, state, code, disabled, recent}) do redis.call('HDEL', key, schedule) end
redis.call('HINCRBY', changes, 'version', 1)
return known
