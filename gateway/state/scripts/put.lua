-- ARGV: key, value, expected version, owner, order, due, expires, fence or ''
-- Returns the new version, 0 when the version has moved on, -1 when the fence has.
local key, value, expected, owner, order, due, expires, fence = unpack(ARGV)
sweep(16)
if not read(key) then
    bury(key)
end
local standing = redis.call('HMGET', place(key), 'version', 'owner', 'fence', 'held')
local version, old_owner, held_by, held = tonumber(standing[1] or 0), standing[2], standing[3], standing[4]
if version ~= tonumber(expected) then
    return 0
elseif fence ~= '' and fence ~= held_by then
    return -1
end
redis.call('HSET', place(key), 'value', value, 'version', version + 1, 'owner', owner,
    'order', order, 'due', due, 'expires', expires)
redis.call('ZADD', all, tonumber(expires) > 0 and expires or '+inf', key)
if old_owner and old_owner ~= owner then
    redis.call('ZREM', listed(old_owner), key)
end
if owner ~= '' then
    redis.call('ZADD', listed(owner), order, key)
end
schedule(key, due, held)
redis.call('PUBLISH', hints, key)
return version + 1
