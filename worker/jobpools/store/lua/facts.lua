-- facts: read the figures of one queue at one moment; facts_reply.py names the parts of the reply.
-- USES: clock
-- KEYS: results leases dead done since policy draining totals ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms
--   now_ms: the current time in ms; '' for the server's clock
-- RETURNS: {now, queued, due, scheduled later, leases, dead, next due in ms or -1, heads of the ready lists, since when each
--   of them is ready if its id does not contain this, totals by name, draining workers, 1 if expired records are still there,
--   records of ended jobs, the fields of its policy, each followed by its value, when the oldest dead letter died in ms or -1}
-- CHANGES: nothing
local now = clock(now_ms)
local queued, due, later, next_due = 0, 0, 0, -1
local heads, head_since = {}, {}
for _, key in ipairs({ready_high, ready_normal, ready_low}) do
  queued = queued + redis.call('LLEN', key)
  local head = redis.call('LINDEX', key, 0)
  if head then
    heads[#heads + 1] = head
    head_since[#heads] = redis.call('HGET', since, head) or ''
  end
end
for _, key in ipairs({scheduled_high, scheduled_normal, scheduled_low}) do
  local now_due = redis.call('ZCOUNT', key, '-inf', now)
  due, later = due + now_due, later + redis.call('ZCARD', key) - now_due
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[2] and (next_due < 0 or tonumber(head[2]) < next_due) then next_due = tonumber(head[2]) end
end
local expired, classes = 0, redis.call('HGETALL', done)
for i = 2, #classes, 2 do
  if tonumber(classes[i]) <= now then expired = 1 end
end
local dead_letters, died = redis.call('ZCARD', dead), -1
if dead_letters > 0 then died = tonumber(redis.call('ZRANGE', dead, 0, 0, 'WITHSCORES')[2]) end
return {
  now, queued, due, later, redis.call('ZCARD', leases), dead_letters, next_due, heads, head_since,
  redis.call('HGETALL', totals), redis.call('SMEMBERS', draining), expired, redis.call('HLEN', results),
  redis.call('HGETALL', policy), died,
}
