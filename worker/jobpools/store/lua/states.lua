-- states: read the states of jobs.
-- USES: clock records recorded
-- KEYS: jobs results dead leases scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms ...
--   now_ms: the current time in ms; '' for the server's clock; ...: job ids
-- RETURNS: the state of each job, for a running job "running:worker", for an unknown job ''
-- CHANGES: nothing
local now = clock(now_ms)
local holders
local function holder_of(id)
  if not holders then -- read only if a job is in no other place
    holders = {}
    for _, lease_id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
      local held, worker = string.match(lease_id, '^(.*):([^:]*):[^:]*$')
      holders[held] = worker
    end
  end
  return holders[id]
end

local function state_of(id)
  if redis.call('HEXISTS', jobs, id) == 0 then return recorded(now, id) or '' end
  if redis.call('ZSCORE', dead, id) then return 'dead' end
  for _, key in ipairs({scheduled_high, scheduled_normal, scheduled_low}) do
    if redis.call('ZSCORE', key, id) then return 'scheduled' end
  end
  local holder = holder_of(id)
  return holder and 'running:' .. holder or 'queued'
end

local found = {}
for i = 2, #ARGV do found[i - 1] = state_of(ARGV[i]) end
return found
