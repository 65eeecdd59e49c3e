-- ARGV: owner, limit, 1 for the newest first, and the key behind which the page begins, if any
local owner, limit, newest_first, after = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4]
local page, rank = {}, 0
if after then
    local record = read(after)
    local place_in_list = record and redis.call(newest_first and 'ZREVRANK' or 'ZRANK', listed(owner), after)
    if not place_in_list then
        return page
    end
    rank = place_in_list + 1
end
repeat
    local keys = redis.call(newest_first and 'ZREVRANGE' or 'ZRANGE', listed(owner), rank, rank + limit - 1)
    for _, key in ipairs(keys) do
        local record = #page < limit and read(key)
        if record then
            page[#page + 1] = {key, unpack(record)}
        end
    end
    rank = rank + #keys
until #keys == 0 or #page == limit
return page
