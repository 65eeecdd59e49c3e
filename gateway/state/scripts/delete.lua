-- ARGV: key. Returns 1 when there was a record.
local found = read(ARGV[1])
bury(ARGV[1])
redis.call('PUBLISH', hints, ARGV[1])
return found and 1 or 0
