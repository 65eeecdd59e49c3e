-- ARGV: queue, gap, patience in seconds. Returns the seconds until the turn that is ours now, '' when all
-- turns within the patience are taken; and the seconds until the place that is kept for our return.
-- A queue is two times: of the first free turn, and of the first free return, which is never before it.
local queue, gap, patience = prefix .. ':queue:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local free = redis.call('HMGET', queue, 'turn', 'return')
local turn = math.max(tonumber(free[1] or 0), now)
local back = math.max(tonumber(free[2] or 0), turn)
local wait = ''
if turn - now <= patience then
    wait = string.format('%.6f', turn - now)
    turn = turn + gap
end
redis.call('HSET', queue, 'turn', string.format('%.6f', turn), 'return', string.format('%.6f', back + gap))
redis.call('PEXPIRE', queue, math.ceil((back + gap - now) * 1000))
return {wait, string.format('%.6f', back - now)}
