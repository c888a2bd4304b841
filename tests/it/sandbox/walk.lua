-- Finds everything that a script can get hold of: what is in tables and their metatables, the
-- metatables of the basic types, and what functions return or raise, called with a bit of anything.
local function walk(name, root)
    -- The first name of each value, and whether a line is there.
    local names, lines, found = {}, {}, {}
    local tables, functions, waiting = {}, {}, {}

    local function add(line)
        if not found[line] then
            found[line] = true
            lines[#lines + 1] = line
        end
    end

    local function is_object(value)
        local kind = type(value)
        return kind ~= "nil" and kind ~= "boolean" and kind ~= "number" and kind ~= "string"
    end

    -- What is made anew by each call has types, and what is there before any has values.
    local function see(name, value, is_new)
        local kind = type(value)
        if is_object(value) then
            if names[value] then
                return add(name .. " = " .. names[value])
            end
            names[value] = name
            waiting[#waiting + 1] = value
            if not is_new and kind == "table" then tables[#tables + 1] = value end
            if not is_new and kind == "function" then functions[#functions + 1] = value end
            return add(name .. " " .. kind)
        end
        if not is_new then
            if kind == "string" then kind = ("string %q"):format(value) end
            if kind == "number" then kind = ("number %.17g"):format(value) end
        end
        add(name .. " " .. kind)
    end

    local function look_into(value, is_new)
        local name = names[value]
        if type(value) == "table" then
            local members, by_name = {}, {}
            for key, member in next, value do
                local member_name = type(key) == "string" and key or "[" .. (type(key) == "number" and key or type(key)) .. "]"
                members[#members + 1] = member_name
                by_name[member_name] = member
            end
            table.sort(members)
            for _, member in ipairs(members) do
                local path = value == root and member or name .. "." .. member
                see(path, by_name[member], is_new)
            end
        end
        local metatable = getmetatable(value)
        if metatable ~= nil then see("metatable(" .. name .. ")", metatable, is_new) end
    end

    local function look_into_all(is_new)
        while waiting[1] do
            local now = waiting
            waiting = {}
            for _, value in ipairs(now) do look_into(value, is_new) end
        end
    end

    see(name, root)
    local thread = coroutine.create(function() end)
    for _, value in ipairs { "", 0, true, function() end, thread } do
        local metatable = getmetatable(value)
        if metatable ~= nil then see("metatable(" .. type(value) .. ")", metatable) end
    end
    local metatable = getmetatable(nil)
    if metatable ~= nil then see("metatable(nil)", metatable) end
    look_into_all()

    -- What they are called with is not what they give.
    local given = {}
    local function mine(value)
        given[value] = true
        return value
    end
    local t, f, c = mine {}, mine(function() end), mine(thread)
    local samples = {
        {}, { t }, { t, t }, { t, "" }, { t, f }, { f }, { f, f }, { f, t }, { c }, { true },
        { 0 }, { 1, "x" }, { 2 }, { 1, 2, 3 }, { 2 ^ 53 }, { 0 / 0 },
        { "" }, { "", "" }, { "", "", "" }, { "a", "b", t }, { "a", "a", f }, { "a", t },
        { "return 1" }, { "return 1", t }, { "=" }, { "{}" }, { "[[]]" }, { '{"a":[null]}' },
        { "\128" }, { "\145\145\192" }, { "\255" }, { "i4", "abcd" }, { "%d", "x" }, { "(", "(" },
        { "PING" }, { "GET" }, { "NONE" }, { "INFO", "server" }, { "DEL", "walk" },
        { "HSET", "walk", "f", "v" }, { "HGETALL", "walk" }, { "DEL", "walk" },
        { "SADD", "walk", "m" }, { "SMEMBERS", "walk" }, { "SCAN", "0" }, { "DEL", "walk" },
        { "ZADD", "walk", "1", "m" }, { "ZSCORE", "walk", "m" }, { "GET", "walk" }, { "DEL", "walk" },
    }
    local function gives(name, ok, ...)
        for i = 1, select("#", ...) do
            local value = select(i, ...)
            if is_object(value) and not given[value] then
                see(name .. (ok and "()" or " raised"), value, true)
            end
        end
    end
    for _, called in ipairs(functions) do
        local name = names[called]
        -- How much memory is used is another number each time, and an error in what handles an
        -- error ends all.
        if name ~= "gcinfo" and name ~= "xpcall" then
            for _, sample in ipairs(samples) do
                -- In a coroutine what was raised is not made a text.
                local function call() return called(unpack(sample)) end
                gives(name, coroutine.resume(coroutine.create(call)))
            end
        end
    end
    look_into_all(true)
    table.sort(lines)
    return lines, tables, names
end
