//! The classes of `notify-keyspace-events`, and their text form.

bitflags::bitflags! {
    /// Which changes of the keyspace are published, and on which channels.
    ///
    /// Nothing is published unless at least one of `KEYSPACE` and `KEYEVENT` is set, and
    /// besides the class of the event.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct KeyspaceEvents: u16 {
        /// `g`: commands on keys of any type, such as DEL, EXPIRE and RENAME.
        const GENERIC = 1;
        /// `$`: commands on strings.
        const STRING = 1 << 1;
        /// `l`: commands on lists.
        const LIST = 1 << 2;
        /// `s`: commands on sets.
        const SET = 1 << 3;
        /// `h`: commands on hashes.
        const HASH = 1 << 4;
        /// `z`: commands on sorted sets.
        const ZSET = 1 << 5;
        /// `x`: a key expired.
        const EXPIRED = 1 << 6;
        /// `e`: a key was evicted.
        const EVICTED = 1 << 7;
        /// `t`: commands on streams.
        const STREAM = 1 << 8;
        /// `d`: events of module types.
        const MODULE = 1 << 9;
        /// `n`: a key was created. Not part of `A`.
        const NEW = 1 << 10;
        /// `K`: publish on `__keyspace@<db>__:<key>`.
        const KEYSPACE = 1 << 11;
        /// `E`: publish on `__keyevent@<db>__:<event>`.
        const KEYEVENT = 1 << 12;
        /// `m`: a key was looked up in vain. Not part of `A`.
        const KEY_MISS = 1 << 13;
        /// `A`: all classes that the letters `g$lshzxetd` stand for.
        const ALL = (1 << 10) - 1;
    }
}

/// The letters in the order in which CONFIG GET prints them. `A` stands for those before `n`.
const LETTERS: [(u8, KeyspaceEvents); 14] = [
    (b'g', KeyspaceEvents::GENERIC),
    (b'$', KeyspaceEvents::STRING),
    (b'l', KeyspaceEvents::LIST),
    (b's', KeyspaceEvents::SET),
    (b'h', KeyspaceEvents::HASH),
    (b'z', KeyspaceEvents::ZSET),
    (b'x', KeyspaceEvents::EXPIRED),
    (b'e', KeyspaceEvents::EVICTED),
    (b't', KeyspaceEvents::STREAM),
    (b'd', KeyspaceEvents::MODULE),
    (b'n', KeyspaceEvents::NEW),
    (b'K', KeyspaceEvents::KEYSPACE),
    (b'E', KeyspaceEvents::KEYEVENT),
    (b'm', KeyspaceEvents::KEY_MISS),
];

impl KeyspaceEvents {
    /// Reads the letters of `notify-keyspace-events`; `None` if one is unknown.
    pub fn parse(letters: &[u8]) -> Option<KeyspaceEvents> {
        let mut events = KeyspaceEvents::empty();
        for letter in letters {
            events |= match letter {
                b'A' => KeyspaceEvents::ALL,
                _ => LETTERS.iter().find(|(known, _)| known == letter)?.1,
            };
        }
        Some(events)
    }

    /// The letters as CONFIG GET prints them.
    ///
    /// Redis does not print `n` next to `A`, though the flag stays set.
    pub fn letters(self) -> String {
        let all = self.contains(KeyspaceEvents::ALL);
        let hidden = if all {
            KeyspaceEvents::ALL | KeyspaceEvents::NEW
        } else {
            KeyspaceEvents::empty()
        };
        let shown = self - hidden;
        let rest = LETTERS
            .iter()
            .filter(|(_, event)| shown.contains(*event))
            .map(|(c, _)| char::from(*c));
        all.then_some('A').into_iter().chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from CONFIG SET and GET on Redis 7.0.15.
    #[test]
    fn letters_print_like_config_get() {
        for (set, got) in [
            ("KEA", "AKE"),
            ("K", "K"),
            ("Kg", "gK"),
            ("", ""),
            ("KElshzxetdmn", "lshzxetdnKEm"),
            ("A", "A"),
            ("KEn", "nKE"),
            ("KEAn", "AKE"),
            ("KEAm", "AKEm"),
            ("KEg$lshzxetd", "AKE"),
        ] {
            let events = KeyspaceEvents::parse(set.as_bytes()).unwrap();
            assert_eq!(events.letters(), got, "after setting {set}");
        }
        assert_eq!(KeyspaceEvents::parse(b"Kq"), None);
        assert_eq!(KeyspaceEvents::parse(b"KEA "), None);
        assert!(
            KeyspaceEvents::parse(b"An")
                .unwrap()
                .contains(KeyspaceEvents::NEW)
        );
    }
}
