-- clock(now_ms): return the current time in ms: the argument, or the server's clock if it is empty. All leases use one clock.
local function clock(now_ms)
  if now_ms ~= '' then return tonumber(now_ms) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
