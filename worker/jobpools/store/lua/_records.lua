-- Records of ended jobs: the fields of the hash `results`. A record is kept until its TTL has passed.
--   A record begins with a letter, c (completed) or x (cancelled), and two times of 48 bits in ms: when the job ended, and
--   the TTL. For a completed job "<duration in ms> <handler> <result>" follows, with a number for most handlers (_handlers.lua).
--   Each ended job is also an element of a list, in the order in which jobs ended: the same two times and the job's id.
--   There is one list for each class of TTLs, the TTLs between two powers of two, so that a record with a short TTL never
--   waits behind one with a long TTL, and an expired record is removed within twice its TTL.
--   These lists are done:CLASS. The hash `done` has, by class, a time in ms before which no record of the class expires.

-- class_of(ttl): return the class of a TTL in ms.
local function class_of(ttl)
  local _, exponent = math.frexp(ttl)
  return string.format('%d', exponent)
end

-- classes_of(): return the hash `done` as a table, class → ms. Needs the key done.
local function classes_of()
  local found, flat = {}, redis.call('HGETALL', done)
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  return found
end
