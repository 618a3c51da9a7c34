-- step: settle a batch of finished attempts, then claim up to `claim` jobs, in one round trip.
-- USES: clock lease records settlements trim tidy ready_left
-- KEYS: jobs history results done handlers leases dead since wake draining cancelling totals waiters waiters_old ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms worker claim lease_suffix lease_ms order keep_completed keep_dead completed ...
--   now_ms: the current time in ms; '' for the server's clock; lease_ms: ms until the new leases expire
--   lease_suffix: what follows a job id in the lease ids of this claim (":worker:fence")
--   order: the letters of the priorities in the order in which they are claimed ("hnl"); a number behind a letter limits that
--   turn, as in "h5n3l1hnl"
--   keep_completed, keep_dead: how many completed jobs and dead letters the queue keeps; the oldest go first
--   ...: first `completed` groups, each: ms to keep the results (0: keep no records), number of jobs, their lease_ids, and
--        their records without letter and times, which _records.lua describes
--   ...: then for each other settlement: lease_id, priority (h, n, l), disposition, ms from now ('' for at once; for cancel:
--        ms to keep the record), history ('' for none; not stored for cancel), total to count in ('' for none)
-- RETURNS: {ids, envelopes, histories or nil, stale lease_ids, ms until the next scheduled job or -1, draining 0/1, ready left, now,
--   dead letters dropped, paused 0/1 (0 if no job is ready), since when the claimed jobs were ready in ms or nil}
-- READS: policy, whose key is derived from that of jobs
-- CHANGES: what the settlements say; a settlement is applied only if its lease exists or can be reclaimed. Otherwise it is
--   stale and skipped
local now = clock(now_ms)
local leased = leases_of(lease_suffix, now, lease_ms)
leased.classes = classes_of()

local keep = tonumber(keep_completed)
local others = settlements(now, leased, keep, tonumber(completed))
local dropped, has_scheduled = tidy(now, leased, others, keep, tonumber(keep_dead))

local is_draining = redis.call('SISMEMBER', draining, worker)
local ready = ready_left()
local is_paused = ready > 0 and redis.call('HEXISTS', string.sub(jobs, 1, -#'jobs' - 1) .. 'policy', 'paused') or 0
local limit = is_draining + is_paused == 0 and tonumber(claim) or 0
local ids, envelopes, histories, left, times = {}, {}, nil, ready, nil
if limit > 0 and ready > 0 then
  -- INCLUDE: safely claim
  ids, envelopes, histories, left, times = claim_ready(leased, lease_suffix, limit, order, ready)
end
if left > 0 and is_paused == 0 then
  -- INCLUDE: wake
  wake_one()
end
local wait = -1
if left == 0 and has_scheduled then
  -- INCLUDE: next_due
  wait = next_due(now)
end
return {ids, envelopes, histories or {}, leased.stale, wait, is_draining, left, now, dropped, is_paused, times or {}}
