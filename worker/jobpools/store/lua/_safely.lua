-- Runs `act`. When Redis refuses one of its commands (a key of another type) the script ends there, and what it wrote
-- stays: so `undo` puts back what was taken first, and nothing is lost.
local function safely(act, undo)
  local well, why = pcall(act)
  if not well then
    undo()
    error(why, 0)
  end
end
