-- One fixed POST: -- BODY_FILE [HEADER: VALUE]…; also tells how many bytes came back.
local json = [[{"requests":%d,"seconds":%.6f,"bad":%d,"bytes":%d,"p50":%.1f,"p99":%.1f}]]

function init(args)
  local f = assert(io.open(args[1], "rb"))
  wrk.method, wrk.body = "POST", f:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  f:close()
  for i = 2, #args do
    local name, value = args[i]:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
end

function done(s, latency)
  local e = s.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  print(json:format(s.requests, s.duration / 1e6, bad, s.bytes, latency:percentile(50),
    latency:percentile(99)))
end
