-- remember: note a run of a schedule that a user asked for among its latest fires.
-- USES: recent
-- KEYS: recent
-- ARGV: schedule ticks
--   schedule: its key; ticks: the run, as `<ms>!`
-- RETURNS: 1
-- CHANGES: recent
remember(recent, schedule, ticks, 0)
return 1
