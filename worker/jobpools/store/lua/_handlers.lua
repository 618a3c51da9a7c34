-- short(record): return a worker's part of the record of a completed job, "12.5 send null", with a number in place of the
--   handler's name: "12.5 #3 null". The hash `handlers` has the number of each name, for at most NUMBERED names; other names
--   stay as they are. The tags and the metadata behind a name, 'send{"tags":["vip"]}', stay too.
--   Costs one HGET for each name in a script. Needs the key handlers.
local NUMBERED = 1000
local word_of = {}
local function numbered(name)
  local number = redis.call('HGET', handlers, name)
  if not number then
    number = redis.call('HLEN', handlers) + 1
    if number > NUMBERED then return name end
    redis.call('HDEL', handlers, '') -- a first write that takes no memory: a server beyond its maxmemory accepts the rest
    redis.call('HSET', handlers, name, number)
  end
  return string.format('#%d', number)
end

local function word_for(name)
  local word = word_of[name]
  if not word then
    word = numbered(name)
    word_of[name] = word
  end
  return word
end

local function short(record)
  local first = string.find(record, ' ', 1, true)
  local second = first and string.find(record, ' ', first + 1, true)
  if not second then return record end
  local name = string.sub(record, first + 1, second - 1)
  local word = word_of[name]
  if not word then
    local brace = string.find(name, '{', 1, true)
    word = brace and word_for(string.sub(name, 1, brace - 1)) .. string.sub(name, brace) or word_for(name)
  end
  return string.sub(record, 1, first) .. word .. string.sub(record, second)
end
