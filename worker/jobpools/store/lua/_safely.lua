-- safely(act, undo): run `act`; if Redis refuses one of its commands, run `undo` and raise the error again.
--   Redis does not roll back a script that fails, for example on a key of another type: without `undo` the jobs that `act`
--   moves would be lost.
local function safely(act, undo)
  local well, why = pcall(act)
  if not well then
    undo()
    error(why, 0)
  end
end
