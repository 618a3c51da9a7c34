-- handler_name(id): return the name of a job's handler, '' if its envelope does not begin with version, id and name, as jobpools
--   writes it, or if the name has escapes. The rest of the envelope, which may be 1 MiB, is not parsed. Needs the key jobs.
local function handler_name(id)
  return string.match(redis.call('HGET', jobs, id) or '', '^{"v":%d+,"id":"[^"\\]*","name":"([^"\\]*)"') or ''
end
