-- Asks for each of the first N objects once, then for the last one. Usage: wrk -t1 … -s distinct.lua URL -- N
-- wrk itself calls request() once beforehand, to see whether it can be parsed.
local n, total = -1, 0

function init(args)
    total = tonumber(args[1])
end

function request()
    n = math.min(n + 1, total)
    return wrk.format("GET", string.format("/objects/%09d.html", n))
end
