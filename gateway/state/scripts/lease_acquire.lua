-- ARGV: ttl, token, then slot and cap in turn. Returns the slot and the end, nothing when all are full.
for i = 3, #ARGV, 2 do
    drop_the_late(ARGV[i])
    if redis.call('ZCARD', place(ARGV[i])) < tonumber(ARGV[i + 1]) then
        return hold(ARGV[i], ARGV[2], ARGV[1])
    end
end
return false
