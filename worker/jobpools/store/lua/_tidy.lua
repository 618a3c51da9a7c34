-- tidy(now, leased, others, keep, dead_letters): remove expired and surplus records and dead letters, and promote due jobs.
--   others: how many settlements of this step did not complete a job; keep, dead_letters: how many records and dead
--   letters the queue keeps. Returns how many dead letters it dropped, and whether the queue had scheduled jobs.
--   Needs `trim` and the keys that drop_dead and promote need.
local function tidy(now, leased, others, keep, dead_letters)
  -- Twice as many as this step adds: records are removed at least as fast as they arrive.
  trim(now, math.min(2 * leased.completed + 200, 4000), keep, leased.classes, leased.longest)
  local dropped = 0
  if others > 0 then
    -- INCLUDE: drop_dead
    dropped = drop_dead(2 * others + 100, dead_letters)
  end
  local has_scheduled = redis.call('EXISTS', scheduled_high, scheduled_normal, scheduled_low) > 0
  if has_scheduled then
    -- INCLUDE: safely promote
    promote(now, 200)
  end
  return dropped, has_scheduled
end
