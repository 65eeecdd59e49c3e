-- ARGV: key, fence, due
local key, fence, due = unpack(ARGV)
if redis.call('HGET', place(key), 'fence') == fence then
    redis.call('HDEL', place(key), 'fence', 'held')
    redis.call('HSET', place(key), 'due', due)
    redis.call('HINCRBY', place(key), 'version', 1)
    schedule(key, due)
end
return 1
