-- wake_one(): add a token that wakes one idle worker, unless there is one. A worker that takes the token and leaves ready
--   jobs adds the next token, so that idle workers never all wake at once. Needs the key wake.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then
    redis.call('RPUSH', wake, 1)
    redis.call('PEXPIRE', wake, 60000)
  end
end
