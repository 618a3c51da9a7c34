-- Records of ended jobs: the fields of the hash `results`. A record is kept until its TTL has passed.
--   A record begins with a letter, c (completed) or x (cancelled), and two times of 48 bits in ms: when the job ended, and
--   the TTL. For a completed job "<duration in ms> <handler> <result>" follows, with a number for most handlers (_handlers.lua).
--   Each ended job is also an element of a list, in the order in which jobs ended: the same two times and the job's id.
--   There is one list for each class of TTLs, the TTLs between two powers of two, so that a record with a short TTL never
--   waits behind one with a long TTL, and an expired record is removed within twice its TTL.
--   The hash `done` has, by class, a time in ms before which no record of the class expires.
--   Needs the key results. The names of `done`, its lists and `history` are made from it, because not every script has these keys.
local prefix = string.sub(results, 1, -#'results' - 1)
local done, history = prefix .. 'done', prefix .. 'history'
local function done_list(class) return done .. ':' .. class end
local function list_item(at, ttl, id) return struct.pack('>I6I6', at, ttl) .. id end
local function class_of(ttl)
  local _, exponent = math.frexp(ttl)
  return string.format('%d', exponent)
end

-- classes_of(): return the hash `done` as a table, class → ms.
local function classes_of()
  local found, flat = {}, redis.call('HGETALL', done)
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  return found
end

-- retain(now, ttl, letter, ids, rest_of, classes): record that these jobs end now; rest_of(i) is what follows the two times in
--   the record of ids[i]. `classes` is as classes_of returns it; a new class is added. Returns the new length of the list.
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

-- state_in(now, record, id): return the state that a record holds; for an expired record nil, its list element and its class.
local STATES = {c = 'completed', x = 'cancelled'}
local HEAD_BYTES = 13 -- length of the letter and the two times
local function state_in(now, record, id)
  local state = STATES[string.sub(record, 1, 1)]
  if not state or #record < HEAD_BYTES then return nil end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return state end
  return nil, list_item(at, ttl, id), class_of(ttl)
end

-- recorded(now, id): return the state of an ended job whose record has not expired; else nil.
local function recorded(now, id)
  local record = redis.call('HGET', results, id)
  return record and (state_in(now, record, id)) or nil
end
