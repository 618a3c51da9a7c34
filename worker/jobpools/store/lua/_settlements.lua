-- settlements(now, leased, keep, groups): apply the settlements of one call of step.lua; `leased` is as leases_of returns it.
--   keep: how many records of completed and cancelled jobs the queue keeps; groups: number of groups of completed attempts,
--   which come first. Returns how many attempts did not complete.
--   Needs `complete`, `settle_one` and what they need.
local function settlements(now, leased, keep, groups)
  local first = 10 -- the first of step.lua's arguments that have no name
  for _ = 1, groups do first = complete(now, leased, first, keep) end
  for i = first, #ARGV, 6 do settle_one(now, leased, i) end
  return (#ARGV - first + 1) / 6
end
