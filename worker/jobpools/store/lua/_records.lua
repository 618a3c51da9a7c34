-- What stays of ended jobs: records in `results`, for as long as their TTL says.
--   A record begins with a letter, c (completed) or x (cancelled), and 12 bytes: when the job ended and how long it is kept,
--   both in ms, 48 bits. Of a completed job "<ms that it ran> <name> <result>" follows.
--   Beside it the job stands in a list, in the order in which jobs ended, with the same 12 bytes before its id. There is one
--   list for each power of two of TTLs: a short one never waits behind a long one, and what is over goes within
--   twice its TTL. `done` says of each such class before which ms nothing in its list is over.
--   Needs the keys results done history.
local function done_list(class) return done .. ':' .. class end
local function entry_of(at, ttl, id) return struct.pack('>I6I6', at, ttl) .. id end
local function class_of(ttl)
  local _, exponent = math.frexp(ttl)
  return string.format('%d', exponent)
end

-- retain(now, ttl, letter, ids, rest_of): these jobs end now; rest_of(i) is what follows at and ttl in the record of ids[i].
local function retain(now, ttl, letter, ids, rest_of)
  local class, front = class_of(ttl), entry_of(now, ttl, '')
  local head, pairs_of_record, entries = letter .. front, {}, {}
  for i = 1, #ids do
    pairs_of_record[2 * i - 1], pairs_of_record[2 * i] = ids[i], head .. rest_of(i)
    entries[i] = front .. ids[i]
  end
  redis.call('HSETNX', done, class, now + ttl)
  redis.call('RPUSH', done_list(class), unpack(entries))
  redis.call('HSET', results, unpack(pairs_of_record))
end

-- recorded(now, id): the state of a job that has ended, and whose record is not over. Else nil, and where there is one that
--   is over, its entry and class.
local STATES = {c = 'completed', x = 'cancelled'}
local function recorded(now, id)
  local record = redis.call('HGET', results, id)
  if not record then return nil end
  local state = STATES[string.sub(record, 1, 1)]
  if not state or #record < 13 then return nil end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return state end
  return nil, entry_of(at, ttl, id), class_of(ttl)
end

-- is_retained(now, id): whether an id is taken by a job that has ended. A record that is over gives it free.
local function is_retained(now, id)
  local state, entry, class = recorded(now, id)
  if entry then
    redis.call('LREM', done_list(class), 1, entry)
    redis.call('HDEL', results, id)
    redis.call('HDEL', history, id)
  end
  return state ~= nil
end

-- some_ended(): whether is_retained is worth asking. What it writes to is found to be of another type here.
local function some_ended()
  if redis.call('HLEN', results) == 0 then return false end
  for _, key in ipairs({done, history}) do redis.call('HLEN', key) end
  return true
end
