-- The functions of the table library that may take long: a script can be ended while it is in them.
local check_sort = ...

local error, getmetatable, rawequal, rawget, rawset = error, getmetatable, rawequal, rawget, rawset
local select, tonumber, type = select, tonumber, type
local ceil, floor = math.ceil, math.floor
local native_insert, native_remove = table.insert, table.remove

-- Compares as a function that is not Lua's does: errors do not name a place.
local function less(a, b)
    local of_a, of_b = type(a), type(b)
    if of_a == of_b then
        if of_a == "number" or of_a == "string" then return a < b end
        local meta_a, meta_b = getmetatable(a), getmetatable(b)
        if type(meta_a) == "table" and type(meta_b) == "table" then
            local compare = rawget(meta_a, "__lt")
            if compare ~= nil and rawequal(compare, rawget(meta_b, "__lt")) then return a < b end
        end
        error("attempt to compare two " .. of_a .. " values", 0)
    end
    error("attempt to compare " .. of_a .. " with " .. of_b, 0)
end

-- Sorts from `l` to `u`, the smaller part by calling itself. Answers true if what `less` says
-- makes no sense.
local function quicksort(t, l, u, less)
    while l < u do
        local low, high = rawget(t, l), rawget(t, u)
        if less(high, low) then
            rawset(t, l, high)
            rawset(t, u, low)
        end
        if u - l == 1 then return end
        local i = (l + u - (l + u) % 2) / 2
        local middle = rawget(t, i)
        low = rawget(t, l)
        if less(middle, low) then
            rawset(t, i, low)
            rawset(t, l, middle)
        else
            high = rawget(t, u)
            if less(high, middle) then
                rawset(t, i, high)
                rawset(t, u, middle)
            end
        end
        if u - l == 2 then return end
        -- The pivot waits before the last.
        local pivot = rawget(t, i)
        rawset(t, i, rawget(t, u - 1))
        rawset(t, u - 1, pivot)
        i = l
        local j = u - 1
        while true do
            i = i + 1
            local from_left = rawget(t, i)
            while less(from_left, pivot) do
                if i > u then return true end
                i = i + 1
                from_left = rawget(t, i)
            end
            j = j - 1
            local from_right = rawget(t, j)
            while less(pivot, from_right) do
                if j < l then return true end
                j = j - 1
                from_right = rawget(t, j)
            end
            if j < i then break end
            rawset(t, i, from_right)
            rawset(t, j, from_left)
        end
        local last = rawget(t, u - 1)
        rawset(t, u - 1, rawget(t, i))
        rawset(t, i, last)
        local wrong
        if i - l < u - i then
            wrong = quicksort(t, l, i - 1, less)
            l = i + 1
        else
            wrong = quicksort(t, i + 1, u, less)
            u = i - 1
        end
        if wrong then return true end
    end
end

local function sort(...)
    local ok, text, level = check_sort(...)
    if not ok then error(text, level) end
    local t, by = ...
    if quicksort(t, 1, #t, by or less) then
        error("invalid order function for sorting", 2)
    end
end

local function insert(...)
    local t, at, value = ...
    if select("#", ...) ~= 3 or type(t) ~= "table" then return native_insert(...) end
    at = tonumber(at)
    if not at or (at >= 1 and at < 2147483648) then return native_insert(...) end
    -- Lua counts in 32 bits, and takes what does not fit even into 64 for 0.
    if not (at > -9223372036854775808 and at < 9223372036854775808) then at = 0 end
    at = (at < 0 and ceil(at) or floor(at)) % 4294967296
    if at >= 2147483648 then at = at - 4294967296 end
    local to = #t + 1
    if at > to then to = at end
    for index = to, at + 1, -1 do
        rawset(t, index, rawget(t, index - 1))
    end
    rawset(t, at, value)
end

local function remove(...)
    local t, at = ...
    -- LuaJIT's does not cut fractions off.
    if type(at) ~= "number" or at % 1 == 0 or at ~= at then return native_remove(...) end
    return native_remove(t, floor(at))
end

local function setn(t)
    if type(t) ~= "table" then return native_insert(t) end
    error("'setn' is obsolete", 2)
end

return { insert = insert, remove = remove, setn = setn, sort = sort }
