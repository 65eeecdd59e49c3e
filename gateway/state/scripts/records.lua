-- Opens every script on records. KEYS[1] is the table's prefix; its hash tag keeps the table in one slot.
-- A record is a hash. Beside it stand sorted sets: all keys by expiry, due keys by the time from which
-- they may be claimed, and each owner's keys by order.
local prefix = KEYS[1]
local all, dues, hints = prefix .. ':all', prefix .. ':due', prefix .. ':hints'
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

local function seconds(number)
    return string.format('%.6f', number)
end

local function place(key)
    return prefix .. ':record:' .. key
end

local function listed(owner)
    return prefix .. ':owner:' .. owner
end

-- value, version, owner, order, due, expires; nil when there is none or it has expired.
local function read(key)
    local record = redis.call('HMGET', place(key), 'value', 'version', 'owner', 'order', 'due', 'expires')
    local expires = tonumber(record[6])
    if record[2] and (expires == 0 or expires > now) then
        return record
    end
end

local function bury(key)
    local owner = redis.call('HGET', place(key), 'owner')
    if owner then
        redis.call('ZREM', listed(owner), key)
    end
    redis.call('ZREM', dues, key)
    redis.call('ZREM', all, key)
    redis.call('DEL', place(key))
end

local function sweep(limit)
    for _, key in ipairs(redis.call('ZRANGEBYSCORE', all, '-inf', seconds(now), 'LIMIT', 0, limit)) do
        bury(key)
    end
end

-- Make the record claimable from `due`, or from the end of the claim that holds it.
local function schedule(key, due, held)
    if tonumber(due) > 0 then
        redis.call('ZADD', dues, tonumber(held or 0) > tonumber(due) and held or due, key)
    else
        redis.call('ZREM', dues, key)
    end
end
