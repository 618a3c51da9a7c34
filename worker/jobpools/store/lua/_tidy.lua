-- tidy(now, leased, others, keep, dead_letters): remove expired and surplus records and dead letters, and promote due jobs.
--   others: how many settlements of this step did not complete a job; keep, dead_letters: how many records and dead
--   letters the queue keeps. Returns how many dead letters it dropped, and whether the queue had scheduled jobs.
--   Needs `trim`, `drop_dead`, `promote` and the keys scheduled_….
local function tidy(now, leased, others, keep, dead_letters)
  -- Twice as many as this step adds: records are removed at least as fast as they arrive.
  trim(now, math.min(2 * leased.completed + 200, 4000), keep, leased.classes, leased.longest)
  local dropped = others > 0 and drop_dead(2 * others + 100, dead_letters) or 0
  local has_scheduled = redis.call('EXISTS', scheduled_high, scheduled_normal, scheduled_low) > 0
  if has_scheduled then promote(now, 200) end
  return dropped, has_scheduled
end
