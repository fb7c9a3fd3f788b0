-- The same body to a random one of many paths: -- BODY_FILE AUTHORIZATION PATHS_FILE.
local json = [[{"requests":%d,"seconds":%.6f,"bad":%d,"p50":%.1f,"p99":%.1f}]]
local requests = {}

function init(args)
  local f = assert(io.open(args[1], "rb"))
  local body = f:read("*a")
  f:close()
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = args[2]
  for path in io.lines(args[3]) do
    requests[#requests + 1] = wrk.format("POST", path, nil, body)
  end
  math.randomseed(1)
end

function request()
  return requests[math.random(#requests)]
end

function done(s, latency)
  local e = s.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  print(json:format(s.requests, s.duration / 1e6, bad, latency:percentile(50),
    latency:percentile(99)))
end
