-- step: settle a batch of finished attempts, then claim up to `claim` jobs, in one round trip.
-- USES: clock safely promote lease notify reclaim records handlers complete settle trim wake ready_left claim next_due
-- KEYS: jobs history results done handlers leases dead since wake draining cancelling totals waiters waiters_old ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms worker claim lease_suffix lease_ms order keep_completed keep_dead completed ...
--   now_ms: the current time in ms; '' for the server's clock; lease_suffix: what follows a job id in the lease ids of this claim (":worker:fence")
--   lease_ms: ms until the new leases expire; order: the letters of the priorities in the order in which they are claimed ("hnl"); a number
--   behind a letter limits that turn, as in "h5n3l1hnl"
--   keep_completed, keep_dead: how many completed jobs and dead letters the queue keeps; the oldest go first
--   ...: first, `completed` times: ms to keep the results (0: forget the jobs), number of jobs, their lease_ids, their
--        records from the time they ran on, as _records.lua has them
--   ...: then for each other settlement: lease_id, priority (h, n, l), disposition, ms from now ('' for at once; for cancel:
--        ms to keep the record), history ('' for none; for cancel: the record), total to count in ('' for none)
-- RETURNS: {ids, envelopes, histories or nil, stale lease_ids, ms until the next scheduled job or -1, draining 0/1, ready left, now,
--   dead letters dropped}
-- CHANGES: what the settlements say; a settlement is applied only if its lease exists or can be reclaimed. Otherwise it is
--   stale and skipped
local now = clock(now_ms)
local leased = leases_of(lease_suffix, now, lease_ms)
leased.classes = classes_of()

local keep, first = tonumber(keep_completed), 10
for _ = 1, tonumber(completed) do first = complete(now, leased, first, keep) end
for i = first, #ARGV, 6 do settle_one(now, leased, i) end
local others = (#ARGV - first + 1) / 6
-- Twice as many as this step adds: records are removed at least as fast as they arrive.
trim(now, math.min(2 * leased.completed + 200, 4000), keep, leased.classes, leased.longest)
local dropped = others > 0 and drop_dead(2 * others + 100, tonumber(keep_dead)) or 0
local later = redis.call('EXISTS', scheduled_high, scheduled_normal, scheduled_low) > 0
if later then promote(now, 200) end

local stopped = redis.call('SISMEMBER', draining, worker)
local most = stopped == 0 and tonumber(claim) or 0
local ids, envelopes, histories, left = claim_ready(leased, lease_suffix, most, order)
if left > 0 then wake_one() end
local wait = left == 0 and later and next_due(now) or -1
return {ids, envelopes, histories or {}, leased.stale, wait, stopped, left, now, dropped}
