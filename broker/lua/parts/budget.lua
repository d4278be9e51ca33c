-- What a call may still do: no script does more than 1,000 commands, touches more than 1,000 elements or moves more than
-- 4 MiB, whatever waits. Commands and elements are estimates, and bytes those of messages.
-- NEEDS:

local commands_left, bytes_left, elements_left = 940, 4 * 1024 * 1024, 980

local function spend(commands, bytes, elements)
  commands_left, bytes_left = commands_left - commands, bytes_left - (bytes or 0)
  elements_left = elements_left - (elements or 0)
end

-- How many things may be done that take so many commands each: at least one, and no more than `max`.
local function affordable(commands, max)
  return math.max(1, math.min(max, math.floor(commands_left / commands)))
end
