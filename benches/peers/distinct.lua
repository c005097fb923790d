-- Asks for each of the first N objects once, then for the last one. Usage: wrk -t1 … -s distinct.lua URL -- N PREFIX
-- wrk itself calls request() once beforehand, to see whether it can be parsed.
local n, total, prefix = -1, 0, ""

function init(args)
    total, prefix = tonumber(args[1]), args[2]
end

function request()
    n = math.min(n + 1, total)
    return wrk.format("GET", string.format("%s%09d.html", prefix, n))
end
