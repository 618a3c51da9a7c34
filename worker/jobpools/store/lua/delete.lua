-- delete: remove the record of a completed or cancelled job, so that its id is free.
-- USES: records recorded
-- KEYS: results done history
-- ARGV: id ended_at
--   ended_at: when the job ended, in ms; a record of another time is left alone ('': whenever it ended)
-- RETURNS: 1, or 0 if there is no such record
-- CHANGES: results, history, a list of ended jobs
local record = redis.call('HGET', results, id)
if not record or #record < HEAD_BYTES or not STATES[string.sub(record, 1, 1)] then return 0 end
local at, ttl = struct.unpack('>I6I6', record, 2)
if ended_at ~= '' and at ~= tonumber(ended_at) then return 0 end
local list = done .. ':' .. class_of(ttl)
-- The list is in the order of time: begin at the nearer end.
local first, last = redis.call('LINDEX', list, 0), redis.call('LINDEX', list, -1)
local nearer_to_last = first and 2 * at > struct.unpack('>I6', first) + struct.unpack('>I6', last)
redis.call('HLEN', history) -- a key of another type is found before anything is removed
redis.call('LREM', list, nearer_to_last and -1 or 1, struct.pack('>I6I6', at, ttl) .. id)
redis.call('HDEL', results, id)
redis.call('HDEL', history, id)
return 1
