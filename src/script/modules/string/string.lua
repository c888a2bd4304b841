-- The functions of the string library that match patterns: some call functions of the script's or
-- return one, and Rust, which finds the matches, never calls back. Where a short subject and a
-- simple pattern cannot take long, LuaJIT's own functions match them, which costs less.
local subject_max, find_match, find_captures, check_gmatch, next_match, start_gsub, next_gsub = ...

local error, type = error, type
local byte, concat, sub = string.byte, table.concat, string.sub
local native_find, native_gmatch, native_gsub = string.find, string.gmatch, string.gsub
local native_match = string.match

-- LuaJIT's own functions match these patterns with subjects that are shorter than this.
local known, known_count = {}, 0
local KNOWN_MAX = 200
local KNOWN_LEN_MAX = 100
-- So many comparisons of two bytes take a few milliseconds at most.
local PLAIN_MAX = 1000000
-- A replacement that is put in at most so often, and as long.
local REPLACEMENT_MAX = 10000

local function is_short(subject, pattern)
    if type(subject) ~= "string" or type(pattern) ~= "string" then return false end
    local most = known[pattern]
    if not most then
        if #pattern > KNOWN_LEN_MAX then return false end
        if known_count == KNOWN_MAX then
            known, known_count = {}, 0
        end
        local _
        _, most = subject_max(pattern)
        known[pattern] = most
        known_count = known_count + 1
    end
    return #subject < most
end

-- LuaJIT's own functions take indexes of 32 bits, and Lua 5.1's those of 64.
local function fits(index)
    return index == nil or (type(index) == "number" and index > -2147483648 and index < 2147483648)
end

-- Raises what Rust answers after false.
local function finish(ok, ...)
    if ok then return ... end
    error(...)
end

local function find(...)
    local subject, pattern, from, plain = ...
    if fits(from) then
        if plain then
            if type(subject) == "string" and type(pattern) == "string"
                and #subject * #pattern < PLAIN_MAX then
                return native_find(...)
            end
        elseif is_short(subject, pattern) then
            return native_find(...)
        end
    end
    return finish(find_match(...))
end

local function match(...)
    local subject, pattern, from = ...
    if is_short(subject, pattern) and fits(from) then return native_match(...) end
    return finish(find_captures(...))
end

local function gmatch(...)
    local text, matched = ...
    if is_short(text, matched) and byte(matched) ~= 94 then return native_gmatch(text, matched) end
    local ok, subject, pattern = check_gmatch(...)
    if not ok then error(subject, pattern) end
    local at = 0
    local function advance(ok, after, ...)
        if not ok then error(after, (...)) end
        if not after then return end
        at = after
        return ...
    end
    return function() return advance(next_match(subject, pattern, at)) end
end

-- What takes the place of a match: where that starts and ends, and the value.
local function replace(by, ok, from, to, ...)
    -- This function is called by gsub, which is called by the script.
    if not ok then error(from, to == 2 and 3 or 0) end
    if not from then return end
    local value
    if type(by) == "table" then
        value = by[(...)]
    else
        value = by(...)
    end
    return from, to, value
end

-- Whether LuaJIT's own takes this for a replacement as Lua 5.1 does. It would call a function, and
-- that of a table's metatable, on the thread's stack, where they could call gsub again without end.
local function is_plain(by)
    return type(by) == "string" and #by < REPLACEMENT_MAX and not native_find(by, "%", 1, true)
end

local function gsub(...)
    local text, matched, by, limit = ...
    if is_short(text, matched) and fits(limit) and is_plain(by) then return native_gsub(...) end
    local ok, subject, count, pattern = start_gsub(...)
    if not ok then error(subject, count) end
    -- The replacement was a string, and all is done.
    if not pattern then return subject, count end

    local one = type(by) == "table"
    local most = count
    local pieces = {}
    local from, at, written = 0, 0, 0
    count = 0
    while count < most do
        local start, stop, value = replace(by, next_gsub(subject, pattern, at, one))
        if not start then break end
        count = count + 1
        if value then
            local kind = type(value)
            if kind ~= "string" and kind ~= "number" then
                error("invalid replacement value (a " .. kind .. ")", 2)
            end
            if kind == "number" then value = value .. "" end
            pieces[#pieces + 1] = sub(subject, written + 1, start)
            pieces[#pieces + 1] = value
            written = stop
        end
        -- After an empty match, the next one starts a byte later.
        at = stop > start and stop or stop + 1
    end
    if #pieces == 0 then return subject, count end
    pieces[#pieces + 1] = sub(subject, written + 1)
    return concat(pieces), count
end

local function clamp(index)
    if fits(index) or type(index) ~= "number" then return index end
    if index >= 2147483648 and index < 9223372036854775808 then return 2147483647 end
    return -2147483647
end

-- These go on to LuaJIT's with a call in return position: its errors name the place and the
-- function that the script has written.
local function with_indexes(native)
    return function(...)
        local text, from, to = ...
        if fits(from) and fits(to) then return native(...) end
        return native(text, clamp(from), clamp(to))
    end
end

return {
    byte = with_indexes(byte),
    find = find,
    gfind = gmatch,
    gmatch = gmatch,
    gsub = gsub,
    match = match,
    sub = with_indexes(sub),
}
