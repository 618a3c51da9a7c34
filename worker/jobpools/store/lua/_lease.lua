-- leases_of(lease_suffix, now, lease_ms): return a table about the leases that one step settles and claims, with the fields
--   expiry: when new leases expire; a string, because the server would format a number again for each job
--   stale: lease_ids whose lease is lost; each settlement function adds to it
--   completed: how many attempts completed; longest: length of the longest list of ended jobs that they were added to
--   id_end: where the job's id ends in a lease_id, as string.sub takes it; the lease suffixes of one worker have the same length
local function leases_of(lease_suffix, now, lease_ms)
  return {
    expiry = string.format('%d', now + tonumber(lease_ms)),
    stale = {},
    completed = 0,
    longest = 0,
    id_end = -#lease_suffix - 1,
  }
end
