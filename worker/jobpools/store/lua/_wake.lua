-- Leaves one token for one idle worker. Who takes it and leaves work behind passes it on, so there is never a herd.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then
    redis.call('RPUSH', wake, 1)
    redis.call('PEXPIRE', wake, 60000)
  end
end
