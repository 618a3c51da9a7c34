-- purge: remove dead jobs for good.
-- USES: died
-- KEYS: jobs history dead totals
-- ARGV: ...
--   ...: for each job (1000 at most) its id, when it died in ms; a job that died again since then is left alone ('': whenever it died)
-- RETURNS: how many dead jobs were removed
-- CHANGES: jobs, history, dead, totals
for _, key in ipairs({jobs, history, totals}) do redis.call('HLEN', key) end -- keys of another type are found before anything is removed
local _, ids = died(1, 2)
if #ids == 0 then return 0 end
redis.call('HDEL', history, unpack(ids))
redis.call('HDEL', jobs, unpack(ids))
redis.call('ZREM', dead, unpack(ids))
redis.call('HINCRBY', totals, 'purged', #ids)
return #ids
