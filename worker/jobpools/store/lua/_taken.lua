-- is_taken(now, id, record): whether a job that has ended still has this id; `record` is its field of results, as
--   _records.lua has it. A record that has expired is removed, and its id is free.
--   One function, because each one that a script defines takes the server about 0.3 µs a call. Needs the key results.
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
