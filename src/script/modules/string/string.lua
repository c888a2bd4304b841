-- The functions of the string library that call functions of the script's, or return one. Rust
-- finds the matches; it never calls back.
local check_gmatch, next_match, start_gsub, next_gsub, output_max = ...

local error, type = error, type
local byte, concat, sub = string.byte, table.concat, string.sub

local function gmatch(...)
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

local function gsub(...)
    local ok, subject, count, pattern = start_gsub(...)
    if not ok then error(subject, count) end
    -- The replacement was a string, and all is done.
    if not pattern then return subject, count end

    local _, _, by = ...
    local one = type(by) == "table"
    local most = count
    local pieces, size = {}, 0
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
            size = size + start - written + #value
            if size > output_max then error("not enough memory", 0) end
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

-- LuaJIT's own takes indexes of 32 bits, and Lua 5.1 those of 64.
local function fits(index)
    return index == nil or type(index) ~= "number" or (index > -2147483648 and index < 2147483648)
end

local function clamp(index)
    if fits(index) then return index end
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

return with_indexes(byte), gmatch, gsub, with_indexes(sub)
