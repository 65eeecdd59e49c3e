-- ARGV: ttl, token, slot. Returns the slot and the end, nothing when the place was lost.
drop_the_late(ARGV[3])
if redis.call('ZSCORE', place(ARGV[3]), ARGV[2]) then
    return hold(ARGV[3], ARGV[2], ARGV[1])
end
return false
