-- What scripts see, and how one is run. It runs once, in an interpreter that has just been made,
-- and sees what scripts do not: its locals are out of their reach.
--
-- LuaJIT has no tables that cannot be written. In place of each table that all scripts share they
-- see an empty one that leads there, and whatever could write past its metatable knows these.
local host, modules = ...

local GLOBALS = [[
    _VERSION assert error gcinfo getmetatable ipairs loadstring next pairs pcall rawequal rawget
    rawset select setmetatable tonumber tostring type unpack xpcall ]]
local LIBRARIES = {
    coroutine = "create resume running status wrap yield",
    math = [[
        abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min
        modf pi pow rad random randomseed sin sinh sqrt tan tanh ]],
    os = "clock",
    string = "byte char find format gmatch gsub len lower match rep reverse sub upper",
    table = "concat foreach foreachi getn insert maxn remove sort",
}

local error, pcall, tostring, type = error, pcall, tostring, type
local getmetatable, ipairs, next, pairs = getmetatable, ipairs, next, pairs
local rawget, rawset, select, setmetatable = rawget, rawset, select, setmetatable
local tonumber, unpack = tonumber, unpack
local gmatch = string.gmatch

-- The tables behind those that scripts see.
local shared = {}
-- What getmetatable answers for them.
local metatables = {}

local READONLY = "Attempt to modify a readonly table"

local function readonly()
    error(READONLY, 2)
end

local function share(table)
    local seen = setmetatable({}, { __index = table, __newindex = readonly })
    shared[seen] = table
    return seen
end

local globals = {}
for name in GLOBALS:gmatch("%S+") do
    globals[name] = _G[name]
end
for member, value in next, modules._G() do
    globals[member] = value
end

-- A library is filled when a script first asks for something in it: all of them take longer than
-- most scripts, which need few.
local unfilled, after_filling = {}, {}

local function fill(table)
    local name = unfilled[table]
    if not name then return end
    -- What is raised meanwhile, where memory runs out, must leave none of LuaJIT's own behind.
    local members = {}
    -- No method of the string: that would ask for a library.
    for member in gmatch(LIBRARIES[name] or "", "%S+") do
        members[member] = _G[name][member]
    end
    for member, value in next, modules[name] and modules[name]() or {} do
        members[member] = value
    end
    if after_filling[name] then after_filling[name](members) end
    for member, value in next, members do
        table[member] = value
    end
    unfilled[table] = nil
    setmetatable(table, nil)
end

local of_unfilled = {
    __index = function(table, member)
        fill(table)
        return rawget(table, member)
    end,
}

local function add_library(name)
    local table = setmetatable({}, of_unfilled)
    unfilled[table] = name
    globals[name] = table
end

for name in next, LIBRARIES do add_library(name) end
for name in next, modules do
    if name ~= "_G" and not globals[name] then add_library(name) end
end
fill(globals.redis)

-- The table behind one that scripts see.
local function behind(seen)
    local table = shared[seen]
    if table then fill(table) end
    return table
end

-- The functions that write into a table, or look into it past its metatable. Those that go on to
-- Lua's own do so with a call in return position: its errors name the place and the function that
-- the script has written.

function globals.getmetatable(...)
    local value = ...
    if type(value) == "string" then return metatables.string end
    if shared[value] then return metatables[value] end
    return getmetatable(...)
end

-- Arguments that are wrong are told first, as in Redis, by Lua's own.

function globals.setmetatable(...)
    local table, metatable = ...
    if shared[table] and select("#", ...) > 1
        and (metatable == nil or type(metatable) == "table") then
        error(READONLY, 0)
    end
    return setmetatable(...)
end

function globals.rawset(...)
    if shared[...] and select("#", ...) > 2 then error(READONLY, 0) end
    return rawset(...)
end

function globals.rawget(table, ...)
    return rawget(behind(table) or table, ...)
end

function globals.next(table, ...)
    return next(behind(table) or table, ...)
end

function globals.pairs(...)
    if shared[...] then return globals.next, (...), nil end
    return pairs(...)
end

-- `remove` and `sort` see a table without elements, and change nothing.
function after_filling.table(members)
    local insert = members.insert

    function members.insert(...)
        local table, at = ...
        local count = select("#", ...)
        if shared[table] and (count == 2 or count == 3 and tonumber(at)) then error(READONLY, 0) end
        return insert(...)
    end

    for _, name in ipairs { "foreach", "foreachi", "getn", "maxn" } do
        local function_ = members[name]
        members[name] = function(table, ...)
            return function_(behind(table) or table, ...)
        end
    end
end

-- What ends a script for good: whoever ends it from outside; and with no room left on the stack, or
-- in memory, nobody could look around while it goes on, and so nobody could end it.
local find = string.find
local FATAL = { "stack overflow", "not enough memory" }

local function is_fatal(raised)
    if host.is_ending() then return true end
    if type(raised) ~= "string" then return false end
    for i = 1, #FATAL do
        if find(raised, FATAL[i], -#FATAL[i], true) then return true end
    end
    return false
end

-- What the binding of the interpreter raises is no value of Lua's.
local function plain(raised)
    return type(raised) == "userdata" and host.text_of(raised) or raised
end

local function unless_fatal(ok, ...)
    if ok then return ok, ... end
    local raised = plain((...))
    if is_fatal(raised) then error(raised, 0) end
    return ok, raised
end

local xpcall_of_modules = globals.xpcall

function globals.xpcall(...)
    if select("#", ...) < 2 then error("bad argument #2 to 'xpcall' (value expected)", 2) end
    local called, handler = ...
    local fatal
    local function handle(raised)
        raised = plain(raised)
        if is_fatal(raised) then
            fatal = raised
            return raised
        end
        return handler(raised)
    end
    local function after(...)
        if fatal then error(fatal, 0) end
        return unless_fatal(...)
    end
    return after(xpcall_of_modules(called, handle))
end

-- Each coroutine that runs within another takes of the thread's own stack, so they are counted.
local enter, leave = host.enter_coroutine, host.leave_coroutine
local create, resume, wrap = coroutine.create, coroutine.resume, coroutine.wrap

local function resumed(...)
    leave()
    return unless_fatal(...)
end

local function counted_resume(...)
    if type((...)) ~= "thread" then return resume(...) end
    if not enter() then return false, "C stack overflow" end
    return resumed(resume(...))
end

local function unwrapped(ok, ...)
    if ok then return ... end
    error((...), 2)
end

function after_filling.coroutine(members)
    members.resume = counted_resume

    function members.wrap(...)
        if type((...)) ~= "function" then return wrap(...) end
        local thread = create(...)
        return function(...) return unwrapped(counted_resume(thread, ...)) end
    end
end

-- A script that catches an error gets its text, as in Redis, whatever table was raised. Of one that
-- has no text it gets the table and, as Redis leaves it there, what is in the text's place.
local function caught(ok, ...)
    if ok then return true, ... end
    local raised = plain((...))
    if is_fatal(raised) then error(raised, 0) end
    if type(raised) ~= "table" then return false, raised end
    local text = rawget(raised, "err")
    if type(text) == "string" or type(text) == "number" then return false, text end
    return false, raised, text
end

function globals.pcall(...)
    if select("#", ...) == 0 then return false, "attempt to call a boolean value" end
    return caught(pcall(...))
end

function globals.loadstring(...)
    return host.compile_for_scripts(...)
end

-- The calls of a script to the server.

local function raising(ok, ...)
    if ok then return ... end
    error((...), 0)
end

globals.redis.call, globals.redis.pcall = host.call, host.pcall

function globals.redis.acl_check_cmd(...)
    return raising(host.may_run(...))
end

function globals.redis.setresp(...)
    raising(host.set_resp(...))
end

local function nonexistent(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- What only scripts find in the table, and not functions.
local OF_SCRIPTS = "breakpoint debug replicate_commands"
local functions_redis = {}
for name, value in next, globals.redis do
    functions_redis[name] = value
end
for name in OF_SCRIPTS:gmatch("%S+") do
    functions_redis[name] = nil
end

for name, value in next, globals do
    if type(value) == "table" then globals[name] = share(value) end
end
local of_globals = { __index = nonexistent }
setmetatable(globals, of_globals)
local seen_globals = share(globals)
globals._G = seen_globals
metatables[seen_globals] = share(of_globals)

-- The globals of functions are the same, but for those of one script. Until the code of their
-- library has run they see instead what registers functions, and nothing else.
local functions, loading = {}, { redis = {} }
for name, value in next, globals do
    functions[name] = value
end
functions.redis = share(functions_redis)

function functions.loadstring(...)
    return host.compile_for_functions(...)
end

for name in ([[
    LOG_DEBUG LOG_NOTICE LOG_VERBOSE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM log
]]):gmatch("%S+") do
    loading.redis[name] = functions_redis[name]
end
loading.redis.register_function = host.register
setmetatable(loading.redis, of_globals)
loading.redis = share(loading.redis)
metatables[loading.redis] = share(of_globals)
setmetatable(functions, of_globals)
setmetatable(loading, of_globals)
local seen_functions = share(functions)
functions._G = seen_functions
metatables[seen_functions] = share(of_globals)
local of_functions = getmetatable(seen_functions)

local of_strings = getmetatable("")
of_strings.__index = shared[globals.string]
metatables.string = share { __index = globals.string }

-- The call is in return position: to errors, and to whoever counts levels, this is not there.
local function run_script(script, keys, arguments)
    globals.KEYS, globals.ARGV = keys, arguments
    return script()
end

-- Where an error was raised: in the innermost function that is a script's.
local where, text_of = host.where, host.text_of
local note_counted = host.note_counted

local function explain(raised)
    local source, line = where()
    local text = raised
    if type(raised) == "table" then
        text = rawget(raised, "err")
        if type(text) == "number" then text = tostring(text) end
        if type(text) ~= "string" then text = "ERR unknown error" end
        if rawget(raised, "ignore_error_stats_update") then note_counted() end
    elseif type(raised) == "userdata" then
        text = "ERR " .. (text_of(raised) or "unknown error")
    else
        text = "ERR " .. tostring(raised)
    end
    return { text, source, line }
end

return {
    globals = seen_globals,
    of_scripts = globals,
    functions = seen_functions,
    of_functions = of_functions,
    seen_by_functions = functions,
    seen_while_loading = loading,
    explain = explain,
    run_script = run_script,
}
