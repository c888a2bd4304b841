//! Reads the contents of each kind of value, in whatever way they are written:
//! element by element, and nothing is kept.

use super::element::Element;
use super::read::Reader;
use super::{Corrupt, NODE_PACKED, NODE_PLAIN, Type, intset, listpack, ziplist, zipmap};
use crate::error::Result;

/// The latest time at which Redis lets a field expire.
const TIME_MAX: u64 = (1 << 48) - 1;

impl Reader<'_> {
    /// The elements of a list, in order. Answers in how many nodes they stood
    /// that had any.
    pub fn list(
        &mut self,
        written: Type,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<usize> {
        match written {
            Type::List => {
                for _ in 0..self.len()? {
                    each(&self.string()?)?;
                }
                Ok(1)
            }
            Type::ListZiplist => {
                strings(ziplist::elements(&self.string()?)?, &mut each)?;
                Ok(1)
            }
            Type::ListQuicklist => {
                let mut nodes = 0;
                for _ in 0..self.len()? {
                    let elements = strings(ziplist::elements(&self.string()?)?, &mut each)?;
                    nodes += usize::from(elements > 0);
                }
                Ok(nodes)
            }
            Type::ListQuicklist2 => {
                let mut nodes = 0;
                for _ in 0..self.len()? {
                    nodes += usize::from(self.node(&mut each)? > 0);
                }
                Ok(nodes)
            }
            _ => Err(Corrupt.into()),
        }
    }

    /// The elements of a node of a list; answers how many there are.
    fn node(&mut self, each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let (node, bytes) = (self.len()?, self.string()?);
        match node {
            NODE_PLAIN if !bytes.is_empty() => {
                each(&bytes)?;
                Ok(1)
            }
            NODE_PACKED => strings(listpack::elements(&bytes)?, each),
            _ => Err(Corrupt.into()),
        }
    }

    /// The members of a set.
    pub fn set(&mut self, written: Type, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match written {
            Type::Set => {
                for _ in 0..self.len()? {
                    each(&self.string()?)?;
                }
            }
            Type::SetIntset => {
                let intset = self.string()?;
                let integers = intset::integers(&intset)?;
                strings(
                    integers.map(|integer| integer.map(Element::Integer)),
                    &mut each,
                )?;
            }
            Type::SetListpack => {
                strings(listpack::elements(&self.string()?)?, &mut each)?;
            }
            _ => return Err(Corrupt.into()),
        }
        Ok(())
    }

    /// The members of a sorted set with their scores, none of which is NaN.
    pub fn zset(
        &mut self,
        written: Type,
        mut each: impl FnMut(&[u8], f64) -> Result<()>,
    ) -> Result<()> {
        let mut checked = |member: &[u8], score: f64| match score.is_nan() {
            false => each(member, score),
            true => Err(Corrupt.into()),
        };
        let mut scored = |member: Element<'_>, score: Element<'_>| {
            checked(member.bytes(&mut itoa::Buffer::new()), score.double()?)
        };
        match written {
            Type::Zset => {
                for _ in 0..self.len()? {
                    checked(&self.string()?, self.decimal()?)?;
                }
                Ok(())
            }
            Type::Zset2 => {
                for _ in 0..self.len()? {
                    checked(&self.string()?, self.double()?)?;
                }
                Ok(())
            }
            Type::ZsetZiplist => pairs(ziplist::elements(&self.string()?)?, &mut scored),
            Type::ZsetListpack => pairs(listpack::elements(&self.string()?)?, &mut scored),
            _ => Err(Corrupt.into()),
        }
    }

    /// The fields of a hash with their values, and the time at which each
    /// expires, if it does.
    pub fn hash(
        &mut self,
        written: Type,
        mut each: impl FnMut(&[u8], &[u8], Option<i64>) -> Result<()>,
    ) -> Result<()> {
        let mut lasting = |field: Element<'_>, value: Element<'_>| {
            let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
            each(field.bytes(&mut a), value.bytes(&mut b), None)
        };
        match written {
            Type::Hash => {
                for _ in 0..self.len()? {
                    each(&self.string()?, &self.string()?, None)?;
                }
                Ok(())
            }
            Type::HashZipmap => zipmap::pairs(&self.string()?)?.try_for_each(|pair| {
                let (field, value) = pair?;
                each(field, value, None)
            }),
            Type::HashZiplist => pairs(ziplist::elements(&self.string()?)?, &mut lasting),
            Type::HashListpack => pairs(listpack::elements(&self.string()?)?, &mut lasting),
            Type::HashTimes => self.fields(1, &mut each),
            Type::HashTimes2 => {
                // Times are told from the first on; one more, as 0 is none.
                let first = u64::try_from(self.time()?).map_err(|_| Corrupt)?;
                self.fields(first, &mut each)
            }
            Type::HashTimesListpack => self.packed_fields(&mut each),
            Type::HashTimesListpack2 => {
                self.time()?;
                self.packed_fields(&mut each)
            }
            _ => Err(Corrupt.into()),
        }
    }

    /// Fields with their times, which are told from `first` on.
    fn fields(
        &mut self,
        first: u64,
        each: &mut impl FnMut(&[u8], &[u8], Option<i64>) -> Result<()>,
    ) -> Result<()> {
        for _ in 0..self.len()? {
            let time = match self.len()? {
                0 => None,
                after => Some(expiry((after - 1).checked_add(first).ok_or(Corrupt)?)?),
            };
            each(&self.string()?, &self.string()?, time)?;
        }
        Ok(())
    }

    /// Fields with their times, in a listpack.
    fn packed_fields(
        &mut self,
        each: &mut impl FnMut(&[u8], &[u8], Option<i64>) -> Result<()>,
    ) -> Result<()> {
        let bytes = self.string()?;
        let mut elements = listpack::elements(&bytes)?;
        while let Some(field) = elements.next() {
            let value = elements.next().ok_or(Corrupt)??;
            let time = match elements.next().ok_or(Corrupt)?? {
                Element::Integer(0) => None,
                Element::Integer(at) => Some(expiry(u64::try_from(at).map_err(|_| Corrupt)?)?),
                Element::String(_) => return Err(Corrupt.into()),
            };
            let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
            each(field?.bytes(&mut a), value.bytes(&mut b), time)?;
        }
        Ok(())
    }
}

/// A time at which a field may expire.
fn expiry(at: u64) -> Result<i64> {
    if at <= TIME_MAX {
        Ok(at as i64)
    } else {
        Err(Corrupt.into())
    }
}

/// Hands on elements as strings; answers how many there are.
fn strings<'a>(
    elements: impl Iterator<Item = super::Result<Element<'a>>>,
    each: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<usize> {
    let mut count = 0;
    for element in elements {
        each(element?.bytes(&mut itoa::Buffer::new()))?;
        count += 1;
    }
    Ok(count)
}

/// Hands on elements two by two.
fn pairs<'a>(
    mut elements: impl Iterator<Item = super::Result<Element<'a>>>,
    each: &mut impl FnMut(Element<'a>, Element<'a>) -> Result<()>,
) -> Result<()> {
    while let Some(first) = elements.next() {
        let second = elements.next().ok_or(Corrupt)?;
        each(first?, second?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Listpack, Writer};
    use super::*;
    use crate::error::Error;
    use crate::rdb::ziplist::tests::ziplist;

    /// What is written by a few calls, without the footer.
    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        let mut payload = writer.seal();
        payload.truncate(payload.len() - 10);
        payload
    }

    fn packed(elements: &[&str]) -> Vec<u8> {
        let mut packed = Listpack::default();
        elements
            .iter()
            .for_each(|element| packed.push(element.as_bytes()));
        packed.finish()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn list(written: Type, bytes: &[u8]) -> Result<(String, usize)> {
        let mut shown = Vec::new();
        let nodes = Reader::new(bytes, 100).list(written, |element| {
            shown.push(text(element));
            Ok(())
        })?;
        Ok((shown.join(" "), nodes))
    }

    fn set(written: Type, bytes: &[u8]) -> Result<String> {
        let mut shown = Vec::new();
        Reader::new(bytes, 100).set(written, |member| {
            shown.push(text(member));
            Ok(())
        })?;
        Ok(shown.join(" "))
    }

    fn zset(written: Type, bytes: &[u8]) -> Result<String> {
        let mut shown = Vec::new();
        Reader::new(bytes, 100).zset(written, |member, score| {
            shown.push(format!("{} {score}", text(member)));
            Ok(())
        })?;
        Ok(shown.join(", "))
    }

    fn hash(written: Type, bytes: &[u8]) -> Result<String> {
        let mut shown = Vec::new();
        Reader::new(bytes, 100).hash(written, |field, value, at| {
            let at = at.map_or("-".to_owned(), |at| at.to_string());
            shown.push(format!("{} {} {at}", text(field), text(value)));
            Ok(())
        })?;
        Ok(shown.join(", "))
    }

    #[test]
    fn lists_are_read_in_every_form() {
        let plain = written(|w| {
            w.len(2);
            w.string(b"a");
            w.string(b"7");
        });
        assert_eq!(list(Type::List, &plain), Ok(("a 7".to_owned(), 1)));
        let old = written(|w| w.string(&ziplist(&[b"a", b"7"])));
        assert_eq!(list(Type::ListZiplist, &old), Ok(("a 7".to_owned(), 1)));
        let nodes = [ziplist(&[b"a"]), ziplist(&[]), ziplist(&[b"7", b"b"])];
        let old = written(|w| {
            w.len(3);
            nodes.iter().for_each(|node| w.string(node));
        });
        assert_eq!(list(Type::ListQuicklist, &old), Ok(("a 7 b".to_owned(), 2)));
        let new = |kind: usize| {
            written(|w| {
                w.len(3);
                w.len(2);
                w.string(&packed(&["a", "7"]));
                w.len(kind);
                w.string(b"whole");
                w.len(2);
                w.string(&packed(&[]));
            })
        };
        let expected = Ok(("a 7 whole".to_owned(), 2));
        assert_eq!(list(Type::ListQuicklist2, &new(1)), expected);
        for kind in [0, 2, 3] {
            assert_eq!(
                list(Type::ListQuicklist2, &new(kind)),
                Err(Error::DATA_FORMAT),
                "{kind}"
            );
        }
        assert_eq!(list(Type::Set, &plain), Err(Error::DATA_FORMAT));
    }

    #[test]
    fn sets_are_read_in_every_form() {
        let plain = written(|w| {
            w.len(2);
            w.string(b"a");
            w.string(b"7");
        });
        assert_eq!(set(Type::Set, &plain), Ok("a 7".to_owned()));
        let packed = written(|w| w.string(&packed(&["a", "7"])));
        assert_eq!(set(Type::SetListpack, &packed), Ok("a 7".to_owned()));
        let integers = written(|w| w.intset([-3, 1 << 40].into_iter()));
        assert_eq!(
            set(Type::SetIntset, &integers),
            Ok("-3 1099511627776".to_owned())
        );
        assert_eq!(set(Type::Hash, &plain), Err(Error::DATA_FORMAT));
    }

    #[test]
    fn sorted_sets_are_read_in_every_form() {
        let expected = Ok("a 1.5, b -inf".to_owned());
        let old = b"\x02\x01a\x031.5\x01b\xff";
        assert_eq!(zset(Type::Zset, old), expected);
        let new = written(|w| {
            w.len(2);
            w.string(b"a");
            w.double(1.5);
            w.string(b"b");
            w.double(f64::NEG_INFINITY);
        });
        assert_eq!(zset(Type::Zset2, &new), expected);
        let old = written(|w| w.string(&ziplist(&[b"a", b"1.5", b"b", b"-inf"])));
        assert_eq!(zset(Type::ZsetZiplist, &old), expected);
        let new = written(|w| w.string(&packed(&["a", "1.5", "b", "-inf"])));
        assert_eq!(zset(Type::ZsetListpack, &new), expected);

        assert_eq!(zset(Type::Zset, b"\x01\x01a\xfd"), Err(Error::DATA_FORMAT));
        let nan = written(|w| {
            w.len(1);
            w.string(b"a");
            w.double(f64::NAN);
        });
        assert_eq!(zset(Type::Zset2, &nan), Err(Error::DATA_FORMAT));
        for elements in [&["a", "nan"][..], &["a", "x"], &["a", ""], &["a"]] {
            let wrong = written(|w| w.string(&packed(elements)));
            assert_eq!(
                zset(Type::ZsetListpack, &wrong),
                Err(Error::DATA_FORMAT),
                "{elements:?}"
            );
        }
    }

    #[test]
    fn hashes_are_read_in_every_form() {
        let expected = Ok("f v -, 7 -1 -".to_owned());
        let plain = written(|w| {
            w.len(2);
            [b"f".as_slice(), b"v", b"7", b"-1"]
                .iter()
                .for_each(|s| w.string(s));
        });
        assert_eq!(hash(Type::Hash, &plain), expected);
        let old = written(|w| w.string(b"\x02\x01f\x01\0v\x017\x02\0-1\xff"));
        assert_eq!(hash(Type::HashZipmap, &old), expected);
        let old = written(|w| w.string(&ziplist(&[b"f", b"v", b"7", b"-1"])));
        assert_eq!(hash(Type::HashZiplist, &old), expected);
        let new = written(|w| w.string(&packed(&["f", "v", "7", "-1"])));
        assert_eq!(hash(Type::HashListpack, &new), expected);
        let odd = written(|w| w.string(&packed(&["f", "v", "7"])));
        assert_eq!(hash(Type::HashListpack, &odd), Err(Error::DATA_FORMAT));
        assert_eq!(hash(Type::List, &plain), Err(Error::DATA_FORMAT));
    }

    #[test]
    fn fields_have_their_times_in_every_form() {
        let expected = Ok("f v 5000, g w -, h x 5009".to_owned());
        let fields = |w: &mut Writer, times: [usize; 3]| {
            w.len(3);
            for (time, [field, value]) in times.into_iter().zip(["fv", "gw", "hx"].map(halves)) {
                w.len(time);
                w.string(field);
                w.string(value);
            }
        };
        let before = written(|w| fields(w, [5000, 0, 5009]));
        assert_eq!(hash(Type::HashTimes, &before), expected);
        let released = written(|w| {
            w.time(5000);
            fields(w, [1, 0, 10]);
        });
        assert_eq!(hash(Type::HashTimes2, &released), expected);
        let elements = ["f", "v", "5000", "g", "w", "0", "h", "x", "5009"];
        let before = written(|w| w.string(&packed(&elements)));
        assert_eq!(hash(Type::HashTimesListpack, &before), expected);
        let released = written(|w| {
            w.time(5000);
            w.string(&packed(&elements));
        });
        assert_eq!(hash(Type::HashTimesListpack2, &released), expected);

        for time in ["-1", "281474976710656", "soon", "00"] {
            let wrong = written(|w| w.string(&packed(&["f", "v", time])));
            assert_eq!(
                hash(Type::HashTimesListpack, &wrong),
                Err(Error::DATA_FORMAT),
                "{time}"
            );
        }
        for (first, after) in [(-1, 1), (i64::MAX, 2), (5, usize::MAX)] {
            let wrong = written(|w| {
                w.time(first);
                fields(w, [after, 0, 0]);
            });
            assert_eq!(
                hash(Type::HashTimes2, &wrong),
                Err(Error::DATA_FORMAT),
                "{first} {after}"
            );
        }
    }

    fn halves(pair: &str) -> [&[u8]; 2] {
        let (field, value) = pair.as_bytes().split_at(1);
        [field, value]
    }
}
