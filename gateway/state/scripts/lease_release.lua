-- ARGV: token, slot
return redis.call('ZREM', place(ARGV[2]), ARGV[1])
