-- state_in(now, record, id): return the state that a record holds; for an expired record nil, its list element and its class.
--   Needs `class_of`.
local STATES = {c = 'completed', x = 'cancelled'}
local HEAD_BYTES = 13 -- length of the letter and the two times
local function state_in(now, record, id)
  local state = STATES[string.sub(record, 1, 1)]
  if not state or #record < HEAD_BYTES then return nil end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return state end
  return nil, struct.pack('>I6I6', at, ttl) .. id, class_of(ttl)
end

-- recorded(now, id): return the state of an ended job whose record has not expired; else nil. Needs the key results.
local function recorded(now, id)
  local record = redis.call('HGET', results, id)
  return record and (state_in(now, record, id)) or nil
end
