-- The functions in no library that LuaJIT has otherwise than Lua 5.1. They go on to LuaJIT's own
-- with a call in return position: its errors name the place and the function that the script has
-- written.
local in_base, not_a_number = ...

local error, pcall, select, type = error, pcall, select, type
local byte, find, sub = string.byte, string.find, string.sub
local native_tonumber, native_tostring = tonumber, tostring

local function tostring(...)
    local value = ...
    if value ~= value and type(value) == "number" then
        local _, text = not_a_number(value)
        return text
    end
    -- Scripts know one such value, `cjson.null`.
    if type(value) == "userdata" then return "userdata: (nil)" end
    return native_tostring(...)
end

-- LuaJIT's raises the text as it is, and Lua 5.1's adds the place.
local function assert(...)
    local value, text = ...
    if value then return ... end
    if select("#", ...) == 0 then error("bad argument #1 to 'assert' (value expected)", 2) end
    if text == nil then
        text = "assertion failed!"
    elseif type(text) == "number" then
        text = tostring(text)
    elseif type(text) ~= "string" then
        local got = type(text)
        error("bad argument #2 to 'assert' (string expected, got " .. got .. ")", 2)
    end
    error(text, 2)
end

-- LuaJIT's reads binary digits, which Lua 5.1's does not; the latter ends a text at a NUL.
local function tonumber(...)
    local value, base = ...
    local of_base = base == nil and 10 or native_tonumber(base)
    if not (of_base and of_base >= 10 and of_base < 11) then
        local ok, number, level = in_base(...)
        if not ok then error(number, level) end
        return number
    end
    if type(value) ~= "string" then return native_tonumber(...) end
    local number = native_tonumber(value)
    local first = byte(value)
    if number and first and first >= 49 and first <= 57 then return number end
    local stop = find(value, "\0", 1, true)
    if stop then
        value = sub(value, 1, stop - 1)
        number = native_tonumber(value)
    end
    if number and find(value, "^%s*[+-]?0[bB]") then return nil end
    local is_nan = number ~= number
    if not number and #value < 200 then
        is_nan = find(value, "^%s*[+-]?[nN][aA][nN]%([%w_]*%)%s*$")
    end
    if is_nan then return find(value, "-", 1, true) and 0 / 0 or -(0 / 0) end
    return number
end

-- Lua 5.1's gives what the handler raises to the handler again, so often at most.
local HANDLED_MAX = 221

local function handled(handler, ok, ...)
    if ok then return ok, ... end
    local raised = ...
    if type(handler) == "function" then
        for _ = 1, HANDLED_MAX do
            ok, raised = pcall(handler, raised)
            if ok then return false, raised end
        end
    end
    return false, "error in error handling"
end

-- LuaJIT's calls the handler on the thread's stack, where it could go on until that is full. Here
-- it is called when all that has failed is over, which nothing in a script can tell.
local function xpcall(...)
    if select("#", ...) < 2 then error("bad argument #2 to 'xpcall' (value expected)", 2) end
    local call, handler = ...
    return handled(handler, pcall(call))
end

return { assert = assert, tonumber = tonumber, tostring = tostring, xpcall = xpcall }
