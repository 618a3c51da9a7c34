-- notify(ids): publish that these jobs have ended to the channels that wait for them; a message is the queue and the ids.
--   Costs one EXISTS per script if no client waits. It never fails: a client that missed a message asks again within seconds.
--   Needs the keys waiters waiters_old.
local awaited
local function notify(ids)
  if awaited == nil then awaited = redis.call('EXISTS', waiters, waiters_old) > 0 end
  if not awaited or #ids == 0 then return end
  local messages = {}
  for _, key in ipairs({waiters, waiters_old}) do
    local notified = {}
    for i, channels in ipairs(redis.pcall('HMGET', key, unpack(ids))) do
      if channels then
        notified[#notified + 1] = ids[i]
        for channel in string.gmatch(channels, '%S+') do
          messages[channel] = (messages[channel] or string.match(waiters, '{(.*)}')) .. ' ' .. ids[i]
        end
      end
    end
    if #notified > 0 then redis.pcall('HDEL', key, unpack(notified)) end
  end
  for channel, message in pairs(messages) do redis.pcall('PUBLISH', channel, message) end
end
