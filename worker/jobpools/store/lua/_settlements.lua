-- settlements(now, leased, keep, groups): apply the settlements of one call of step.lua; `leased` is as leases_of returns it.
--   keep: how many records of completed and cancelled jobs the queue keeps; groups: number of groups of completed attempts,
--   which come first. Returns how many attempts did not complete.
--   Needs what `complete` and `settle_one` need.
local function settlements(now, leased, keep, groups)
  local first = 10 -- the first of step.lua's arguments that have no name
  if #ARGV < first then return 0 end
  -- INCLUDE: safely notify reclaim retain
  if groups > 0 then
    -- INCLUDE: handlers complete
    for _ = 1, groups do first = complete(now, leased, first, keep) end
  end
  if first <= #ARGV then
    -- INCLUDE: settle
    for i = first, #ARGV, 6 do settle_one(now, leased, i) end
  end
  return (#ARGV - first + 1) / 6
end
