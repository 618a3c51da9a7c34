-- remember(recent, schedule, ticks, now): append fired ticks in ms, separated by blanks, each with how many ms late it is, to
--   those of a schedule, of which the last 20 are kept. `<ms>!` is a run that a user asked for.
local function remember(recent, schedule, ticks, now)
  if ticks == '' then return end
  local kept = {}
  for tick in string.gmatch(redis.call('HGET', recent, schedule) or '', '%S+') do kept[#kept + 1] = tick end
  for tick in string.gmatch(ticks, '%S+') do
    kept[#kept + 1] = string.find(tick, '!') and tick or tick .. '+' .. string.format('%.0f', math.max(0, now - tonumber(tick)))
  end
  redis.call('HSET', recent, schedule, table.concat(kept, ' ', math.max(1, #kept - 19)))
end
