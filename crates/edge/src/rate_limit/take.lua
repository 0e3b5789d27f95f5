-- Takes from all buckets, or from none. KEYS: buckets. ARGV: for each, what one request is worth (microseconds), the burst, and
-- the cost (0 only asks). By the server's own time, so that edges need not agree on theirs.
-- {1, debt of each} or {0, which one refuses, until it would let one through}, in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local nexts, debts = {}, { 1 }
for i, key in ipairs(KEYS) do
  local emission, burst, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local window = emission * burst
  local full_at = tonumber(redis.call('GET', key) or now)
  -- Never further ahead than an empty bucket: a clock that was set back locks nobody out.
  if full_at < now then full_at = now elseif full_at > now + window then full_at = now + window end
  local wait = full_at + emission - now - window
  if wait > 0 then return { 0, i, wait } end
  if cost > 0 then
    nexts[i] = full_at + emission
    debts[i + 1] = full_at + emission - now
  else
    debts[i + 1] = full_at - now
  end
end
for i, key in ipairs(KEYS) do
  -- It goes when it is full again: nothing of anybody stays.
  if nexts[i] then
    redis.call('SET', key, string.format('%.0f', nexts[i]), 'PX', math.ceil((nexts[i] - now) / 1000))
  end
end
return debts
