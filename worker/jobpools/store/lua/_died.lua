-- died(first, width): find dead jobs. ARGV has, from `first`, `width` arguments for each job: its id, the time of its death in
--   ms ('' for any), and others. Returns the indices in ARGV and the ids of those that died then and are still dead. Changes nothing.
--   Needs the key dead.
local function died(first, width)
  local indices, found, ids = {}, {}, {}
  for i = first, #ARGV, width do ids[#ids + 1] = ARGV[i] end
  if #ids == 0 then return indices, found end
  local scores, seen = redis.call('ZMSCORE', dead, unpack(ids)), {}
  for number, id in ipairs(ids) do
    local index, score = first + (number - 1) * width, scores[number]
    if score and not seen[id] and (ARGV[index + 1] == '' or tonumber(score) == tonumber(ARGV[index + 1])) then
      indices[#indices + 1], found[#found + 1], seen[id] = index, id, true
    end
  end
  return indices, found
end
