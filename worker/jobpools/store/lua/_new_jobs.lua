-- The first part of enqueue.lua: check the arguments, before anything is written.
--   ids: the ids of the jobs; ready: the ready lists by letter
--   expiring: index of an envelope in ARGV → ms after which the job expires; nil if no job of this call expires
--   In ARGV, a `due` with an expiry is replaced by its part before the semicolon. Needs the keys ready_….
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local expiring, ids = nil, {}
if (#ARGV - 3) % 4 ~= 0 then return redis.error_reply('ERR enqueue: incomplete job; pass id, priority, due and envelope for each job') end
for i = 4, #ARGV, 4 do
  local due = ARGV[i + 2]
  if not ready[ARGV[i + 1]] then return redis.error_reply('ERR enqueue: unknown priority ' .. ARGV[i + 1] .. '; use h, n or l') end
  if due ~= '' then
    local start, expires = string.match(due, '^([^;]*);(%d+)$')
    if start and #expires < 16 then
      if string.sub(ARGV[i + 3], -1) ~= '}' then return redis.error_reply('ERR enqueue: the envelope does not end with }; send a JSON object') end
      expiring = expiring or {}
      expiring[i + 3], ARGV[i + 2] = expires, start
    else
      start = due
    end
    local digits = start == '' and '0' or string.match(start, '^@%-?(%d+)$') or string.match(start, '^%d+$')
    if not (digits and #digits < 16) then
      return redis.error_reply('ERR enqueue: invalid due time ' .. due .. "; use '', ms from now or @ms of the epoch, and ;ms for an expiry")
    end
  end
  ids[i / 4] = ARGV[i]
end
