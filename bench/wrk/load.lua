-- One fixed request: -- BODY_FILE [AUTHORIZATION]. An empty body file name is a GET.
local json = [[{"requests":%d,"seconds":%.6f,"bad":%d,"p50":%.1f,"p99":%.1f}]]

function init(args)
  if args[1] and args[1] ~= "" then
    local f = assert(io.open(args[1], "rb"))
    wrk.method, wrk.body = "POST", f:read("*a")
    wrk.headers["Content-Type"] = "application/json"
    f:close()
  end
  if args[2] then wrk.headers["Authorization"] = args[2] end
end

function done(s, latency)
  local e = s.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  print(json:format(s.requests, s.duration / 1e6, bad, latency:percentile(50),
    latency:percentile(99)))
end
