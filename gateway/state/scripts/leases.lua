-- Opens every script on leases. KEYS[1] is the prefix of all slots and queues; its hash tag keeps them in
-- one place, for one step looks at several. A slot is a sorted set: tokens by the end of their lease.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

local function place(slot)
    return prefix .. ':slot:' .. slot
end

-- Hold the place for `ttl` seconds; the slot goes with its last holder.
local function hold(slot, token, ttl)
    local held = string.format('%.6f', now + ttl)
    redis.call('ZADD', place(slot), held, token)
    local last = redis.call('ZRANGE', place(slot), -1, -1, 'WITHSCORES')
    redis.call('PEXPIREAT', place(slot), math.ceil(last[2] * 1000))
    return {slot, held}
end

local function drop_the_late(slot)
    redis.call('ZREMRANGEBYSCORE', place(slot), '-inf', string.format('%.6f', now))
end
