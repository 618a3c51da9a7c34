-- The leases that one step settles and takes: leases_of(tail, now, lease) returns a table with these fields.
--   expiry: when new leases expire, as a string, for the server would print a number anew for each job
--   stale: members whose lease is gone; whoever settles adds to it
--   completed: how many attempts completed; longest: length of the longest list of ended jobs that they were added to
--   id_of(member): the job's id; all members of one worker have tails of one length
local function leases_of(tail, now, lease)
  local length = #tail
  return {
    expiry = string.format('%d', now + tonumber(lease)),
    stale = {},
    completed = 0,
    longest = 0,
    id_of = function(member) return string.sub(member, 1, -length - 1) end,
  }
end
