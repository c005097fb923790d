-- The load of `soak_with_wrk`: hits, misses, passes and purges, every body verified as tests/soak/page.rs makes it.
-- One script serves all connections of a thread, so the URL asked for is taken from X-Url, which the policy sets on delivery.

local threads = {}

function setup(thread)
  thread:set("id", #threads + 1)
  table.insert(threads, thread)
end

function init(args)
  right, spliced, wrong, failed, purged, round, first_wrong = 0, 0, 0, 0, 0, 0, ""
  math.randomseed(id * 7919)
end

function request()
  round = round + 1
  local dice = math.random(100)
  if dice <= 50 then return wrk.format("GET", "/hit/" .. math.random(0, 39)) end
  if dice <= 58 then return wrk.format("GET", "/chunk/" .. math.random(0, 9)) end
  if dice <= 75 then return wrk.format("GET", "/miss/w" .. id .. "-" .. round) end
  if dice <= 77 then return wrk.format("GET", "/big/" .. math.random(0, 299)) end
  if dice <= 87 then return wrk.format("GET", "/pass/" .. math.random(0, 99)) end
  if dice <= 94 then return wrk.format("GET", "/own/" .. math.random(0, 4)) end
  if dice <= 97 then return wrk.format("PURGE", "/hit/" .. math.random(0, 39)) end
  return wrk.format("PURGE", "/big/" .. math.random(0, 299))
end

local function sum(start, text)
  local total = start
  for i = 1, #text do total = (total * 31 + text:byte(i)) % 2147483647 end
  return total
end

-- Is it the page of that URL, whole and unharmed?
local function verify(url, body)
  local of, said, filler = body:match("^([^\n]*)\n(%d+)\n(.*)$")
  return of == url and tonumber(said) == sum(sum(7, url), filler)
end

-- After a cut body wrk keeps what came of it and puts the next answer on that connection behind it. So a page may have a
-- beginning that is not its own, at most as often as wrk has counted a read error; tests/soak/wrk.rs sees to that. The
-- load of our own knows no such leftovers.
local function verify_spliced(url, body)
  local at = body:find(url .. "\n", 2, true)
  while at do
    if verify(url, body:sub(at)) then return true end
    at = body:find(url .. "\n", at + 1, true)
  end
  return false
end

local function judge(status, headers, body)
  local url = headers["x-url"] or headers["X-Url"]
  if status >= 502 and status <= 504 then
    failed = failed + 1
  elseif status == 200 and body:match("purged %d+\n$") then
    purged = purged + 1
  elseif status == 200 and url and verify(url, body) then
    right = right + 1
  elseif status == 200 and url and verify_spliced(url, body) then
    spliced = spliced + 1
  else
    wrong = wrong + 1
    first_wrong = status .. " " .. tostring(url) .. " " .. body:sub(1, 80)
  end
end

function response(status, headers, body)
  judge(status, headers, body)
end

function done(summary, latency, requests)
  local total = { right = 0, spliced = 0, wrong = 0, failed = 0, purged = 0 }
  for _, thread in ipairs(threads) do
    for name, n in pairs(total) do total[name] = n + thread:get(name) end
    if thread:get("first_wrong") ~= "" then print("first wrong: " .. thread:get("first_wrong")) end
  end
  for name, n in pairs(total) do print("soak " .. name .. " " .. n) end
  print("soak hung " .. summary.errors.timeout)
  print("soak cut " .. summary.errors.read)
end
