-- ARGV: key
local record = read(ARGV[1])
return record and {ARGV[1], unpack(record)}
