//! The ways in which Redis has written values, by their numbers.

/// How a value is written: its kind, and the form in which that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// A string.
    String = 0,
    /// A list: a count, and strings.
    List = 1,
    /// A set: a count, and strings.
    Set = 2,
    /// A sorted set: a count, strings and scores in decimal.
    Zset = 3,
    /// A hash: a count, and pairs of strings.
    Hash = 4,
    /// A sorted set: a count, strings and binary scores.
    Zset2 = 5,
    /// A hash in a zipmap: up to Redis 2.4.
    HashZipmap = 9,
    /// A list in a ziplist: up to Redis 3.0.
    ListZiplist = 10,
    /// A set of integers in an intset.
    SetIntset = 11,
    /// A sorted set in a ziplist: up to Redis 6.2.
    ZsetZiplist = 12,
    /// A hash in a ziplist: up to Redis 6.2.
    HashZiplist = 13,
    /// A list in several ziplists: up to Redis 6.2.
    ListQuicklist = 14,
    /// A hash in a listpack: from Redis 7.0 on.
    HashListpack = 16,
    /// A sorted set in a listpack: from Redis 7.0 on.
    ZsetListpack = 17,
    /// A stream in listpacks: from Redis 5.0 on.
    StreamListpacks = 15,
    /// A list in several listpacks: from Redis 7.0 on.
    ListQuicklist2 = 18,
    /// A stream that knows what has gone: from Redis 7.0 on.
    StreamListpacks2 = 19,
    /// A set in a listpack: from Redis 7.2 on.
    SetListpack = 20,
    /// A stream that knows when consumers were active: from Redis 7.2 on.
    StreamListpacks3 = 21,
    /// A hash whose fields expire, as 7.4 wrote it before it was released.
    HashTimes = 22,
    /// A hash whose fields expire, in a listpack, from before that release.
    HashTimesListpack = 23,
    /// A hash whose fields expire: from Redis 7.4 on.
    HashTimes2 = 24,
    /// A hash whose fields expire, in a listpack: from Redis 7.4 on.
    HashTimesListpack2 = 25,
}

impl Type {
    const ALL: [Type; 23] = [
        Type::String,
        Type::List,
        Type::Set,
        Type::Zset,
        Type::Hash,
        Type::Zset2,
        Type::HashZipmap,
        Type::ListZiplist,
        Type::SetIntset,
        Type::ZsetZiplist,
        Type::HashZiplist,
        Type::ListQuicklist,
        Type::StreamListpacks,
        Type::HashListpack,
        Type::ZsetListpack,
        Type::ListQuicklist2,
        Type::StreamListpacks2,
        Type::SetListpack,
        Type::StreamListpacks3,
        Type::HashTimes,
        Type::HashTimesListpack,
        Type::HashTimes2,
        Type::HashTimesListpack2,
    ];

    /// The type of this number.
    pub fn from_number(number: u8) -> Option<Type> {
        let mut all = Type::ALL.into_iter();
        all.find(|written| *written as u8 == number)
    }

    /// The first version of the format that a server must know to read it. No
    /// older one is named than that of Redis 7.0, which reads all before.
    pub fn version(self) -> u16 {
        match self as u8 {
            0..20 => 10,
            20..22 => 11,
            _ => 12,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_by_its_number() {
        let found: Vec<_> = (0..=u8::MAX).filter_map(Type::from_number).collect();
        assert_eq!(found, Type::ALL);
        // Modules, and what there is no type for.
        for number in [6, 7, 8, 26] {
            assert_eq!(Type::from_number(number), None, "{number}");
        }
    }
}
