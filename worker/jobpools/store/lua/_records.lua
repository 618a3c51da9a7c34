-- Records of ended jobs: fields of `results`, kept until their TTL has passed.
--   A record begins with a letter, c (completed) or x (cancelled), and 12 bytes: when the job ended and how long it is kept,
--   both in ms, 48 bits. Of a completed job "<ms that it ran> <name> <result>" follows, a number in place of most names (_handlers.lua).
--   Beside it the job stands in a list, in the order in which jobs ended, with the same 12 bytes before its id. There is one
--   list for each power of two of TTLs: a record with a short TTL never waits behind one with a long TTL, and expired records are removed within
--   twice its TTL. `done` holds for each such class the ms before which no record of its list expires.
--   Needs the key results; `done`, its lists and `history` are named after it, where the script has no such key.
local prefix = string.sub(results, 1, -#'results' - 1)
local done, history = prefix .. 'done', prefix .. 'history'
local function done_list(class) return done .. ':' .. class end
local function list_item(at, ttl, id) return struct.pack('>I6I6', at, ttl) .. id end
local function class_of(ttl)
  local _, exponent = math.frexp(ttl)
  return string.format('%d', exponent)
end

-- classes_of(): by class, the ms of `done`.
local function classes_of()
  local found, flat = {}, redis.call('HGETALL', done)
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  return found
end

-- retain(now, ttl, letter, ids, rest_of, classes): these jobs end now; rest_of(i) is what follows at and ttl in the record of ids[i].
--   classes: classes_of's, to which theirs is added. Returns how many jobs are in their list then.
local function retain(now, ttl, letter, ids, rest_of, classes)
  local class, front = class_of(ttl), list_item(now, ttl, '')
  local head, pairs_of_record, items = letter .. front, {}, {}
  for i = 1, #ids do
    pairs_of_record[2 * i - 1], pairs_of_record[2 * i] = ids[i], head .. rest_of(i)
    items[i] = front .. ids[i]
  end
  if not classes[class] then
    redis.call('HSETNX', done, class, now + ttl)
    classes[class] = now + ttl
  end
  redis.call('HSET', results, unpack(pairs_of_record))
  return redis.call('RPUSH', done_list(class), unpack(items))
end

-- state_in(now, record, id): the state that a record holds; for an expired record nil, its entry in the list and its class.
local STATES = {c = 'completed', x = 'cancelled'}
local HEAD_BYTES = 13 -- of a record: the letter and the two times
local function state_in(now, record, id)
  local state = STATES[string.sub(record, 1, 1)]
  if not state or #record < HEAD_BYTES then return nil end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return state end
  return nil, list_item(at, ttl, id), class_of(ttl)
end

-- recorded(now, id): the state of a job that has ended and whose record has not expired; else nil.
local function recorded(now, id)
  local record = redis.call('HGET', results, id)
  return record and (state_in(now, record, id)) or nil
end
