-- Tries to change all that is there for every script, in every way, and answers what does not fail as it
-- should. `walk` is in front of this.
local function try_to_change(name, root)
    local READONLY = "Attempt to modify a readonly table"
    local function ways_for(t)
        local member = next(t)
        local f = function() end
        return {
            { READONLY, function() t.new = 1 end },
            { READONLY, function() t.new = nil end },
            { READONLY, function() t[1] = 1 end },
            { READONLY, function() t[member] = f end },
            { READONLY, function() t[member] = nil end },
            { READONLY, function() setmetatable({}, { __newindex = t }).new = 1 end },
            { READONLY, function() for key in pairs(t) do t[key] = nil end end },
            { READONLY, function() table.foreach(t, function(key) t[key] = nil end) end },
            { READONLY, function() rawset(t, "new", 1) end },
            { READONLY, function() rawset(t, 1, 1) end },
            { READONLY, function() rawset(t, member, f) end },
            { READONLY, function() rawset(t, member, nil) end },
            { READONLY, function() rawset(t, nil, 1) end },
            { READONLY, function() setmetatable(t, {}) end },
            { READONLY, function() setmetatable(t, nil) end },
            { READONLY, function() setmetatable(t, getmetatable(t)) end },
            { READONLY, function() table.insert(t, 1) end },
            { READONLY, function() table.insert(t, 1, 1) end },
            { READONLY, function() table.insert(t, "1", 1) end },
            { READONLY, function() table.insert(t, -1, 1) end },
            { "(value expected)", function() rawset(t, "new") end },
            { "(value expected)", function() rawset(t) end },
            { "(nil or table expected)", function() setmetatable(t) end },
            { "(nil or table expected)", function() setmetatable(t, 1) end },
            { "wrong number of arguments to 'insert'", function() table.insert(t) end },
            { "wrong number of arguments to 'insert'", function() table.insert(t, 1, 1, 1) end },
            { "(number expected, got string)", function() table.insert(t, "x", 1) end },
            { "'setn' is obsolete", function() table.setn(t, 1) end },
            -- There are no elements, so nothing is removed or moved.
            { nil, function() table.remove(t) end },
            { nil, function() table.remove(t, 1) end },
            { nil, function() table.sort(t) end },
            { nil, function() table.sort(t, f) end },
        }
    end

    local lines = {}
    local _, tables, names = walk(name, root)
    for _, t in ipairs(tables) do
        -- These are of this script alone.
        if names[t] ~= "KEYS" and names[t] ~= "ARGV" then
            lines[#lines + 1] = names[t]
            for i, way in ipairs(ways_for(t)) do
                local expected, change = way[1], way[2]
                local ok, text = pcall(change)
                local as_expected = ok
                if expected then as_expected = not ok and text:sub(-#expected) == expected end
                if not as_expected then
                    lines[#lines + 1] = "    way " .. i .. " answers " .. tostring(text)
                end
            end
        end
    end
    return lines
end
