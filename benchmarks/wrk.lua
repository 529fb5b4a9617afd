-- wrk's side of benchmarks/wrk.py.  wrk -s wrk.lua URL -- BODY_FILE [NAME VALUE]...
-- Posts the file's bytes with these headers, and at the end prints one line of JSON.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method, wrk.body = "POST", file:read("*a")
   file:close()
   for place = 2, #args, 2 do
      wrk.headers[args[place]] = args[place + 1]
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,"sockets":%d,"statuses":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
      errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
