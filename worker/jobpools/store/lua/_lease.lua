-- leases_of(lease_suffix, now, lease_ms): return a table about the leases that one step settles and claims, with the fields
--   expiry: when new leases expire; a string, because the server would format a number again for each job
--   stale: lease_ids whose lease is lost; each settlement function adds to it
--   completed: how many attempts completed; longest: length of the longest list of ended jobs that they were added to
--   id_of(lease_id): the job's id; the lease suffixes of one worker's lease_ids have the same length
local function leases_of(lease_suffix, now, lease_ms)
  local length = #lease_suffix
  return {
    expiry = string.format('%d', now + tonumber(lease_ms)),
    stale = {},
    completed = 0,
    longest = 0,
    id_of = function(lease_id) return string.sub(lease_id, 1, -length - 1) end,
  }
end
