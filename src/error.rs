//! Every error that a client can see: its code and exact text, once.
//!
//! The texts are those of Redis 7.2. Clients match on them.

use std::borrow::Cow;
use std::fmt;

/// The result of what a handler does.
pub type Result<T> = std::result::Result<T, Error>;

/// An error reply: its code and text, without the leading `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(Cow<'static, [u8]>);

macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)*) => {
        #[allow(missing_docs, reason = "the text says it")]
        impl Error {
            $($(#[$meta])* pub const $name: Error = Error(Cow::Borrowed($text.as_bytes()));)*
        }
    };
}

texts! {
    SYNTAX = "ERR syntax error";
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    NOT_AN_INTEGER = "ERR value is not an integer or out of range";
    NOT_A_32_BIT_INTEGER = "ERR value is out of range, value must between -2147483648 and 2147483647";
    NOT_A_FLOAT = "ERR value is not a valid float";
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    NO_SUCH_KEY = "ERR no such key";
    OVERFLOW = "ERR increment or decrement would overflow";
    DECR_OVERFLOW = "ERR decrement would overflow";
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    HASH_NOT_AN_INTEGER = "ERR hash value is not an integer";
    HASH_NOT_A_FLOAT = "ERR hash value is not a float";
    NOT_FINITE = "ERR value is NaN or Infinity";
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    OUT_OF_RANGE = "ERR value is out of range";
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    BIT_OFFSET = "ERR bit offset is not an integer or out of range";
    BIT_VALUE = "ERR bit is not an integer or out of range";
    BIT_NOT_0_OR_1 = "ERR The bit argument must be 1 or 0.";
    BITOP_NOT_KEYS = "ERR BITOP NOT must be called with a single source key.";
    BITFIELD_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    BITFIELD_OVERFLOW = "ERR Invalid OVERFLOW type specified";
    BITFIELD_READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand";
    NO_HYPERLOGLOG = "WRONGTYPE Key is not a valid HyperLogLog string value.";
    CORRUPTED_HYPERLOGLOG = "INVALIDOBJ Corrupted HLL object detected";
    PFDEBUG_NO_KEY = "ERR The specified key does not exist";
    PFDEBUG_NOT_SPARSE = "ERR HLL encoding is not sparse";
    LCS_WRONG_TYPE = "ERR The specified keys must contain string values";
    LCS_LEN_AND_IDX = "ERR If you want both the length and indexes, please just use IDX.";
    LCS_TOO_LONG = "ERR String too long for LCS";
    LCS_MATRIX_TOO_LARGE = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    LCS_NO_MEMORY = "ERR Insufficient memory, failed allocating transient memory for LCS";
    TIMEOUT_NOT_A_FLOAT = "ERR timeout is not a float or out of range";
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
    NUMKEYS_NOT_POSITIVE = "ERR numkeys should be greater than 0";
    COUNT_NOT_POSITIVE = "ERR count should be greater than 0";
    TOO_MANY_KEYS = "ERR Number of keys can't be greater than number of args";
    LIMIT_NEGATIVE = "ERR LIMIT can't be negative";
    NX_WITH_XX = "ERR XX and NX options at the same time are not compatible";
    NX_GT_LT = "ERR GT, LT, and/or NX options at the same time are not compatible";
    INCR_OF_SEVERAL = "ERR INCR option supports a single increment-element pair";
    SCORE_NAN = "ERR resulting score is not a number (NaN)";
    BOUND_NOT_A_FLOAT = "ERR min or max is not a float";
    BOUND_NOT_A_MEMBER = "ERR min or max not valid string range item";
    LIMIT_BY_RANK = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    SCORES_BY_LEX = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    WEIGHT_NOT_A_FLOAT = "ERR weight value is not a float";
    COUNT_NEGATIVE = "ERR COUNT can't be negative";
    MAXLEN_NEGATIVE = "ERR MAXLEN can't be negative";
    RANK_ZERO = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list";
    MIN_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    INVALID_FIRST_DB = "ERR invalid first DB index";
    INVALID_SECOND_DB = "ERR invalid second DB index";
    SAME_OBJECT = "ERR source and destination objects are the same";
    INVALID_CURSOR = "ERR invalid cursor";
    EXPIRE_NEGATIVE = "ERR invalid expire time, must be >= 0";
    FIELDS_MISSING = "ERR Mandatory argument FIELDS is missing or not at the right position";
    FIELDS_NOT_POSITIVE = "ERR Number of fields must be a positive integer";
    NUMFIELDS_NOT_POSITIVE = "ERR Parameter `numFields` should be greater than 0";
    NUMFIELDS_DIFFERS = "ERR The `numfields` parameter must match the number of arguments";
    INVALID_FIELD_COUNT = "ERR invalid number of fields";
    FXX_AND_FNX = "ERR Only one of FXX or FNX arguments can be specified";
    TIME_TWICE = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    NX_INCOMPATIBLE = "ERR NX and XX, GT or LT options at the same time are not compatible";
    GT_LT_INCOMPATIBLE = "ERR GT and LT options at the same time are not compatible";
    GEO_COUNT_NOT_POSITIVE = "ERR COUNT must be > 0";
    NO_UNIT = "ERR unsupported unit provided. please use M, KM, FT, MI";
    RADIUS_NOT_A_NUMBER = "ERR need numeric radius";
    RADIUS_NEGATIVE = "ERR radius cannot be negative";
    WIDTH_NOT_A_NUMBER = "ERR need numeric width";
    HEIGHT_NOT_A_NUMBER = "ERR need numeric height";
    BOX_NEGATIVE = "ERR height or width cannot be negative";
    NO_GEO_MEMBER = "ERR could not decode requested zset member";
    ANY_WITHOUT_COUNT = "ERR the ANY argument requires COUNT argument";
    GEOSEARCHSTORE_WITH = "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
    GEORADIUS_STORE_WITH = "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
    NOT_ALL_NUMBERS = "ERR One or more scores can't be converted into double";
    SORT_TOO_LARGE = "ERR the answer of SORT would be larger than 4 GB";
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    INVALID_TTL = "ERR Invalid TTL value, must be >= 0";
    INVALID_IDLE_TIME = "ERR Invalid IDLETIME value, must be >= 0";
    INVALID_FREQUENCY = "ERR Invalid FREQ value, must be >= 0 and <= 255";
    INVALID_STREAM_ID = "ERR Invalid stream ID specified as stream command argument";
    NEW_ID_ZERO = "ERR The ID specified in XADD must be greater than 0-0";
    NEW_ID_TOO_LOW = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    IDS_EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items";
    ENTRY_TOO_LARGE = "ERR Elements are too large to be stored";
    INVALID_START_ID = "ERR invalid start ID for the interval";
    INVALID_END_ID = "ERR invalid end ID for the interval";
    MAXLEN_AND_MINID = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";
    TRIM_MAXLEN_NEGATIVE = "ERR The MAXLEN argument must be >= 0.";
    TRIM_LIMIT_NEGATIVE = "ERR The LIMIT argument must be >= 0.";
    LIMIT_WITHOUT_TRIM = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    LIMIT_WITHOUT_APPROX = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    XTRIM_WITHOUT_TRIM = "ERR syntax error, XTRIM must be called with a trimming strategy";
    ENTRIES_ADDED_NEGATIVE = "ERR entries_added must be positive";
    ENTRIES_ADDED_TOO_LOW = "ERR The entries_added specified in XSETID is smaller than the target stream length";
    SET_ID_BELOW_TOP = "ERR The ID specified in XSETID is smaller than the target stream top item";
    SET_ID_BELOW_GIVEN_DELETED = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
    SET_ID_BELOW_DELETED = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    GROUP_IN_XREAD = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
    NOACK_IN_XREAD = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
    GROUP_MISSING = "ERR Missing GROUP option for XREADGROUP";
    NEW_IN_XREAD = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
    DOLLAR_IN_GROUP = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.";
    PLUS_IN_GROUP = "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.";
    NO_KEY_FOR_GROUP = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.";
    ENTRIES_READ_NEGATIVE = "ERR value for ENTRIESREAD must be positive or -1";
    BUSY_GROUP = "BUSYGROUP Consumer Group name already exists";
    XCLAIM_MIN_IDLE = "ERR Invalid min-idle-time argument for XCLAIM";
    XCLAIM_IDLE = "ERR Invalid IDLE option argument for XCLAIM";
    XCLAIM_TIME = "ERR Invalid TIME option argument for XCLAIM";
    XCLAIM_RETRYCOUNT = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
    XAUTOCLAIM_MIN_IDLE = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
    PAYLOAD = "ERR DUMP payload version or checksum are wrong";
    DATA_FORMAT = "ERR Bad data format";
    NOT_REPLICATING = "ERR This server follows no master and has no replicas.";
    NO_CLUSTER = "ERR This instance has cluster support disabled";
    NO_REPLICAS = "ERR FAILOVER requires connected replicas.";
    NO_FAILOVER = "ERR No failover in progress.";
    FAILOVER_TIMEOUT = "ERR FAILOVER timeout must be greater than 0";
    MASTER_PORT = "ERR Invalid master port";
    NOT_0_OR_1 = "ERR value is out of range, value must between 0 and 1";
    NO_AOF_TO_WAIT_FOR = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    LFU_POLICY = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    NO_LFU_POLICY = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    LOADING = "LOADING Redis is loading the dataset in memory";
    READ_ONLY = "READONLY You can't write against a read only replica.";
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    CLUSTER_DOWN = "CLUSTERDOWN The cluster is down";
    MISCONFIGURED = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    NO_AUTH = "NOAUTH Authentication required.";
    NO_AUTH_HELLO = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    NO_PASSWORD_SET = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    PROTO_NOT_AN_INTEGER = "ERR Protocol version is not an integer or out of range";
    NO_PROTO = "NOPROTO unsupported protocol version";
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    NESTED_MULTI = "ERR MULTI calls can not be nested";
    WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed";
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    CLIENT_NAME = "ERR Client names cannot contain spaces, newlines or special characters.";
    NO_SUCH_CLIENT = "ERR No such client";
    CLIENT_CLOSED = "ERR the client is closed";
    INVALID_CLIENT_ID = "ERR Invalid client ID";
    CLIENT_ID_NOT_POSITIVE = "ERR client-id should be greater than 0";
    UNBLOCK_REASON = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
    TRACKING_REDIRECTS = "ERR A client can only redirect to a single other client";
    TRACKING_REDIRECT = "ERR The client ID you want redirect to does not exist";
    TRACKING_PREFIX = "ERR PREFIX option requires BCAST mode to be enabled";
    TRACKING_BCAST = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.";
    TRACKING_BCAST_OPT = "ERR OPTIN and OPTOUT are not compatible with BCAST";
    TRACKING_OPT_BOTH = "ERR You can't specify both OPTIN mode and OPTOUT mode";
    TRACKING_OPT = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.";
    CACHING_WITHOUT_TRACKING = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled";
    CACHING_YES = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
    CACHING_NO = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
    PAUSE_MODE = "ERR CLIENT PAUSE mode must be WRITE or ALL";
    TIMEOUT_NOT_AN_INTEGER = "ERR timeout is not an integer or out of range";
    SSUBSCRIBE_IN_EXEC = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
    MONITOR_IN_EXEC = "ERR MONITOR isn't allowed for DENY BLOCKING client";
    MONITOR_TOUCHES_KEYSPACE = "ERR Replica can't interact with the keyspace";
    NO_SHUTDOWN = "ERR No shutdown in progress.";
    NOTHING_TO_SAVE_TO = "ERR This server keeps its data in memory only and cannot save it. SHUTDOWN NOSAVE stops it.";
    SLOWLOG_COUNT = "ERR count should be greater than or equal to -1";
    DEBUG_NOT_ALLOWED = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.";
    NOT_FOR_TESTS = "ERR RESPD commands are for tests. Start the broker with test-commands yes to allow them.";
    CLOCK_RANGE = "ERR a time of the clock is a number of milliseconds from 0 to 72057594037927936";
    MODULE_NOT_ALLOWED = "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.";
    INVALID_COMMAND = "ERR Invalid command specified";
    NO_KEY_ARGUMENTS = "ERR The command has no key arguments";
    INVALID_ARGUMENT_COUNT = "ERR Invalid number of arguments specified for command";
    INVALID_ARGUMENTS = "ERR Invalid arguments specified for command";
    PACKED_THRESHOLD = "ERR argument must be a memory value bigger than 1 and smaller than 4gb";
    NO_PROTOCOL_TYPE = "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false";
    NO_RESP2 = "ERR RESP2 is not supported by this command";
    NO_DATABASE = "ERR Out of range database";
    NO_SNAPSHOT = "ERR no such snapshot";
    NO_FAULT = "ERR no such fault";
    NO_FAULT_ACTION = "ERR there is no such fault: it is ERROR, DELAY, DROP, REFUSE, HANG, STALL, TRICKLE, LOSE, DUPLICATE or REORDER";
    FAULT_WORD = "ERR a text or a pattern of a fault has 4096 bytes at most";
    TOO_MANY_FAULTS = "ERR There are 1024 faults already. Remove some of them with RESPD FAULT REMOVE.";
    FAULT_LIMIT = "ERR a fault is limited by COMMAND, KEY, CHANNEL, NAME, ID, USER, LIBRARY and DB, each once, and by one of NTH, EVERY, TIMES and CHANCE";
    LOCKED_OUT = "ERR a fault refuses, hangs or stalls everybody: after a restart nobody could remove it";
    FAULT_OF_FAULTS = "ERR a fault of RESPD FAULT could not be removed";
    DROP_PLACE = "ERR DROP takes BEFORE, AFTER or MIDDLE";
    CHANCE_RANGE = "ERR a chance is a percentage from 0 to 100";
    SEED_RANGE = "ERR a seed is a number from 0 to 9223372036854775807";
    NO_RECORD = "ERR there is no record. Begin one with RESPD RECORD START.";
    RECORD_LIMIT = "ERR a record keeps from 1 to 1000000 entries";
    NO_CLAIM = "ERR RESPD RECORD ASSERT takes, behind its filters, SENT ANY|n word..., DELIVERED ANY|n word..., UNTOUCHED pattern or ORDER request...";
    UNBALANCED_QUOTES = "ERR unbalanced quotes";
    NO_DATA_TO_LOAD = "ERR This command does not load data";
    LOAD_FORMAT = "ERR RESPD LOAD takes COMMANDS or JSON, and a text";
    TOO_MANY_SNAPSHOTS = "ERR There are 128 snapshots already. Drop some of them with RESPD SNAPSHOT DROP.";
    NO_SPACE = "ERR no such space";
    NO_SPACES = "ERR A space has no spaces of its own";
    TOO_MANY_SPACES = "ERR There are 1000 spaces already. Drop some of them with RESPD SPACE DROP.";
    NO_HASH_TABLE = "ERR The value stored at the specified key is not represented using an hash table";
    NO_LISTPACK = "ERR Not a listpack encoded object.";
    RELOAD_OPTION = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
    NOTHING_TO_RELOAD = "ERR DEBUG RELOAD NOSAVE needs a snapshot, and this server writes none: it keeps its data in memory only.";
    SCRIPT_STACK = "ERR reached lua stack limit";
    NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    KEYS_NEGATIVE = "ERR Number of keys can't be negative";
    SCRIPT_FLUSH_OPTION = "ERR SCRIPT FLUSH only support SYNC|ASYNC option";
    SCRIPT_SHEBANG = "ERR Invalid script shebang";
    SCRIPT_SHEBANG_WORDS = "ERR Invalid engine in script shebang";
    SCRIPT_WRITES = "ERR Can not execute a script with write flag using *_ro command.";
    UNKNOWN_IN_SCRIPT = "ERR Unknown Redis command called from script";
    ARITY_IN_SCRIPT = "ERR Wrong number of args calling Redis command from script";
    NOT_IN_SCRIPT = "ERR This Redis command is not allowed from script";
    WRITE_IN_READ_ONLY_SCRIPT = "ERR Write commands are not allowed from read-only scripts.";
    NO_SCRIPT_DEBUGGER = "ERR respd has no debugger of scripts.";
    SCRIPT_DEBUG_MODE = "ERR Use SCRIPT DEBUG YES/SYNC/NO";
    NO_SCRIPT_RUNS = "NOTBUSY No scripts in execution right now.";
    UNKILLABLE = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
    BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
    BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    NO_FUNCTION = "ERR Function not found";
    NO_LIBRARY = "ERR Library not found";
    FUNCTION_KEYS = "ERR Bad number of keys provided";
    FUNCTION_FLUSH_OPTION = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option";
    FUNCTION_LIST_NAME = "ERR library name argument was not given";
    NO_LIBRARY_METADATA = "ERR Missing library metadata";
    LIBRARY_METADATA = "ERR Invalid library metadata";
    LIBRARY_NAMED_TWICE = "ERR Invalid metadata value, name argument was given multiple times";
    LIBRARY_NOT_NAMED = "ERR Library name was not given";
    LIBRARY_NAME = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
    NO_FUNCTIONS_REGISTERED = "ERR No functions registered";
    RESTORE_POLICY = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.";
    FUNCTIONS_BEFORE_7 = "ERR Pre-GA function format not supported";
    NO_LIBRARY_IN_PAYLOAD = "ERR given type is not a function";
    LIBRARY_PAYLOAD = "ERR Failed loading library payload";
    NO_AOF_TO_LOAD = "ERR DEBUG LOADAOF needs an append-only file, and this server writes none: it keeps its data in memory only.";
}

impl Error {
    /// An error whose text depends on what the client sent. The code comes
    /// first: `ERR …`. Line ends become spaces when it is written.
    pub fn new(text: impl Into<String>) -> Error {
        Error(text.into().into_bytes().into())
    }

    /// A breach of the protocol, whose text the decoder knows.
    pub fn protocol(text: Vec<u8>) -> Error {
        Error(text.into())
    }

    /// What a script has raised or returned, or a test wants answered, with its
    /// code.
    pub fn raised(text: Vec<u8>) -> Error {
        Error(text.into())
    }

    /// `ERR wrong number of arguments for 'get' command`; a subcommand is
    /// named `config|get`.
    pub fn wrong_arity(full_name: &str) -> Error {
        Error::new(format!(
            "ERR wrong number of arguments for '{full_name}' command"
        ))
    }

    /// `ERR Unbalanced 'xread' list of streams: …`, where `new` stands for what
    /// is new.
    pub fn unbalanced_streams(command: &str, new: char) -> Error {
        Error::new(format!(
            "ERR Unbalanced '{command}' list of streams: for each stream key an ID or '{new}' must \
             be specified."
        ))
    }

    /// `NOGROUP No such consumer group 'g' for key name 's'`
    pub fn no_group(key: &[u8], group: &[u8]) -> Error {
        Error::quoting_both(
            "NOGROUP No such consumer group '",
            group,
            "' for key name '",
            key,
            "'",
        )
    }

    /// `NOGROUP No such key 's' or consumer group 'g'`
    pub fn no_stream_or_group(key: &[u8], group: &[u8]) -> Error {
        Error::quoting_both("NOGROUP No such key '", key, NO_GROUP, group, "'")
    }

    /// `NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option`
    pub fn no_group_to_read(key: &[u8], group: &[u8]) -> Error {
        let end = "' in XREADGROUP with GROUP option";
        Error::quoting_both("NOGROUP No such key '", key, NO_GROUP, group, end)
    }

    /// `ERR at least 1 input key is needed for 'zunion' command`
    pub fn no_input_key(command: &str) -> Error {
        Error::new(format!(
            "ERR at least 1 input key is needed for '{command}' command"
        ))
    }

    /// `ERR invalid expire time in 'set' command`
    pub fn invalid_expire(command: &str) -> Error {
        Error::new(format!("ERR invalid expire time in '{command}' command"))
    }

    /// `ERR invalid longitude,latitude pair 181.000000,0.000000`
    pub fn no_place(longitude: f64, latitude: f64) -> Error {
        Error::new(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    }

    /// What a subscriber that speaks RESP2 may not do.
    pub fn while_subscribed(full_name: &str) -> Error {
        Error::new(format!(
            "ERR Can't execute '{full_name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    }

    /// `ERR timeout: waited 5 s for 1 subscriber of 'orders'; there are none`
    pub fn timed_out(unmet: &str) -> Error {
        Error::quoting("ERR timeout: ", unmet.as_bytes(), "")
    }

    /// `ERR assertion failed: 'GET a' was not sent; sent: GET b (client 3)`
    pub fn not_so(text: &str) -> Error {
        Error::quoting("ERR assertion failed: ", text.as_bytes(), "")
    }

    /// `ERR Unsupported option foo`
    pub fn unsupported_option(option: &[u8]) -> Error {
        // Redis cuts line ends off its errors before it makes spaces of others.
        let option = shown(option, usize::MAX);
        let end = option.iter().rposition(|byte| !b"\r\n".contains(byte));
        let option = &option[..end.map_or(0, |last| last + 1)];
        Error::quoting("ERR Unsupported option ", option, "")
    }

    /// `ERR Syntax error in HELLO option 'foo'`
    pub fn hello_syntax(option: &[u8]) -> Error {
        Error::quoting("ERR Syntax error in HELLO option '", option, "'")
    }

    /// An error that quotes a word of the client's, as far as Redis shows it.
    pub fn quoting(before: &str, word: &[u8], after: &str) -> Error {
        let text = [before.as_bytes(), shown(word, usize::MAX), after.as_bytes()];
        Error(text.concat().into())
    }

    /// `ERR Prefix 'foobar' overlaps with an existing prefix 'foo'. Prefixes for
    /// a single client must not overlap.`
    pub fn overlapping_prefixes(prefix: &[u8], which: &str, other: &[u8]) -> Error {
        let between = format!("' overlaps with {which} prefix '");
        let after = "'. Prefixes for a single client must not overlap.";
        Error::quoting_both("ERR Prefix '", prefix, &between, other, after)
    }

    /// An error that quotes two words of the client's.
    fn quoting_both(before: &str, a: &[u8], between: &str, b: &[u8], after: &str) -> Error {
        let text = [
            before.as_bytes(),
            shown(a, usize::MAX),
            between.as_bytes(),
            shown(b, usize::MAX),
            after.as_bytes(),
        ];
        Error(text.concat().into())
    }

    /// `ERR unknown subcommand or wrong number of arguments for 'foo'. Try CLIENT HELP.`
    pub fn subcommand_syntax(container: &str, name: &[u8]) -> Error {
        let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
        text.extend_from_slice(shown(name, 128));
        text.extend_from_slice(
            format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes(),
        );
        Error(text.into())
    }

    /// `ERR unknown subcommand 'FOO'. Try CLIENT HELP.`
    pub fn unknown_subcommand(container: &str, name: &[u8]) -> Error {
        let mut text = b"ERR unknown subcommand '".to_vec();
        text.extend_from_slice(shown(name, 128));
        text.extend_from_slice(
            format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes(),
        );
        Error(text.into())
    }

    /// `ERR unknown command 'FOO', with args beginning with: 'a' 'b' `; the
    /// name is cut to 128 bytes, and so are all arguments together.
    pub fn unknown_command<'a>(name: &[u8], args: impl Iterator<Item = &'a [u8]>) -> Error {
        let mut list = Vec::new();
        for arg in args {
            if list.len() >= 128 {
                break;
            }
            let room = 128 - list.len();
            list.push(b'\'');
            list.extend_from_slice(shown(arg, room));
            list.extend_from_slice(b"' ");
        }
        let mut text = b"ERR unknown command '".to_vec();
        text.extend_from_slice(shown(name, 128));
        text.extend_from_slice(b"', with args beginning with: ");
        text.append(&mut list);
        Error(text.into())
    }

    /// The error as EXEC answers it when it is itself refused.
    pub fn exec_abort(&self) -> Error {
        let reason = self.0.strip_prefix(b"ERR ").unwrap_or(&self.0);
        Error(
            [b"EXECABORT Transaction discarded because of: ", reason]
                .concat()
                .into(),
        )
    }

    /// The code and the text, as they are sent.
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Error {}

/// Stands between a key and a group of which one is missing.
const NO_GROUP: &str = "' or consumer group '";

/// What a text shows of a word that a client sent: `max` bytes, and nothing
/// behind a NUL, because Redis formats it as a C string.
fn shown(word: &[u8], max: usize) -> &[u8] {
    let word = &word[..word.len().min(max)];
    let end = memchr::memchr(0, word).unwrap_or(word.len());
    &word[..end]
}
