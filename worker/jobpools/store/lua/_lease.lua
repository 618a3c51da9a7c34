-- The leases that one step settles and claims: leases_of(tail, now, lease) returns a table with these fields.
--   expiry: when new leases expire; a string, because the server would format a number again for each job
--   stale: members whose lease is lost; each settlement function adds to it
--   completed: how many attempts completed; longest: length of the longest list of ended jobs that they were added to
--   id_of(member): the job's id; the tails of one worker's members have the same length
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
