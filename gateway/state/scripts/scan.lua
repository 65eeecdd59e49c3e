local found = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', all, '(' .. seconds(now), '+inf')) do
    local record = read(key)
    if record then
        found[#found + 1] = {key, unpack(record)}
    end
end
return found
