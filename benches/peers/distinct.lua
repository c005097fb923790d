-- Asks for each of the first N objects once and stops. Usage: wrk -t1 … -s distinct.lua URL -- N
local n, total, sent, got = 0, 0, 0, 0

function init(args)
    total = tonumber(args[1])
end

function request()
    n = math.min(n + 1, total)
    return wrk.format("GET", string.format("/objects/%09d.html", n))
end

function response()
    got = got + 1
    if got >= total then wrk.thread:stop() end
end
