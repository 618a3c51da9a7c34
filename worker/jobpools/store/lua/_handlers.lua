-- short(record): return a worker's part of the record of a completed job, "12.5 send null", with a number in place of the
--   handler's name: "12.5 #3 null". The hash `handlers` has the number of each name, for at most NUMBERED names; other names
--   stay as they are. The tags and the metadata behind a name, 'send{"tags":["vip"]}', stay too.
--   Costs one HGET for each name in a script. Needs the key handlers.
local NUMBERED = 1000
local word_of = {}
local function short(record)
  local first = string.find(record, ' ', 1, true)
  local second = first and string.find(record, ' ', first + 1, true)
  if not second then return record end
  local brace = string.find(record, '{', first, true)
  local last = brace and brace < second and brace or second -- the first character behind the handler's name
  local name = string.sub(record, first + 1, last - 1)
  local word = word_of[name]
  if not word then
    local number = redis.call('HGET', handlers, name)
    local known = number and 0 or redis.call('HLEN', handlers)
    if not number and known < NUMBERED then
      number = known + 1
      redis.call('HDEL', handlers, '') -- a first write that takes no memory: a server beyond its maxmemory accepts the rest
      redis.call('HSET', handlers, name, number)
    end
    word = number and string.format('#%d', number) or name
    word_of[name] = word
  end
  return string.sub(record, 1, first) .. word .. string.sub(record, last)
end
