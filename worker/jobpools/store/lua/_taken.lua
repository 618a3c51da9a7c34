-- is_taken(now, id, record): return whether an ended job still has this id; `record` is its field of results, in the form of
--   _records.lua. An expired record is removed, and its id is free.
--   This is one function because each function that a script defines costs about 0.3 µs a call. Needs the key results.
local HEAD_BYTES = 13
local function is_taken(now, id, record)
  if not record or #record < HEAD_BYTES or not string.find(record, '^[cx]') then return false end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return true end
  local queue, _, exponent = string.sub(results, 1, -#'results' - 1), math.frexp(ttl)
  redis.call('LREM', string.format('%sdone:%d', queue, exponent), 1, string.sub(record, 2, HEAD_BYTES) .. id)
  redis.call('HDEL', results, id)
  redis.call('HDEL', queue .. 'history', id)
  return false
end
