-- ARGV: limit, lease in seconds. Returns the fence, the end of the claims, and their records.
-- A fence is also a time, so that a replica that takes over never gives an old one out again.
local claimable = redis.call('ZRANGEBYSCORE', dues, '-inf', seconds(now), 'LIMIT', 0, ARGV[1])
if #claimable == 0 then
    return {'0', '0', {}}
end
local last = tonumber(redis.call('GET', prefix .. ':fence') or 0)
local fence = string.format('%.0f', math.max(last + 1, math.floor(now * 1000000)))
local held = seconds(now + ARGV[2])
redis.call('SET', prefix .. ':fence', fence)
local claimed = {}
for _, key in ipairs(claimable) do
    local record = read(key)
    if record then
        redis.call('HSET', place(key), 'fence', fence, 'held', held)
        schedule(key, record[5], held)
        claimed[#claimed + 1] = {key, unpack(record)}
    else
        bury(key)
    end
end
return {fence, held, claimed}
