//! Places on earth, as members of a sorted set whose scores are their geohashes.

use std::cmp::Ordering;

use super::zset::{AddOptions, add_members};
use crate::db::Db;
use crate::db::value::{Direction, ScoreBound, Zset, ZsetRef};
use crate::error::{Error, Result};
use crate::geohash::{Place, Search, Shape};
use crate::partial_sort::sort_part;
use crate::resp::Reply;
use crate::table::vocabulary::{GEO, GROW, OVERWRITE_KEY, READ, READ_KEY, UPDATE_KEY};
use crate::table::{Args, Handler, Row};
use crate::text::double;
use crate::text::long_double::LongDouble;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "geoadd", arity: -5, flags: GROW, keys: &[UPDATE_KEY],
        usage: "key:key [condition(NX|XX)@6.2.0] [change=CH@6.2.0] \
            data(longitude:double latitude:double member)...",
        since: "3.2.0",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the \
            sorted set.",
        history: &[("6.2.0", "Added the `CH`, `NX` and `XX` options.")],
        summary: "Adds places to a sorted set, or moves them.",
        handler: Handler::Data(geoadd),
        ..GEO
    },
    Row {
        name: "geodist", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key member1 member2 [unit(M|KM|FT|MI)]", since: "3.2.0",
        summary: "The distance between two places.",
        handler: Handler::Data(geodist),
        ..GEO
    },
    Row {
        name: "geohash", arity: -2, flags: READ, keys: &[READ_KEY],
        usage: "key:key [member...]", since: "3.2.0",
        summary: "Places as geohashes of eleven characters, which other programs understand.",
        handler: Handler::Data(geohash),
        ..GEO
    },
    Row {
        name: "geopos", arity: -2, flags: READ, keys: &[READ_KEY],
        usage: "key:key [member...]", since: "3.2.0",
        summary: "Places as longitude and latitude.",
        handler: Handler::Data(geopos),
        ..GEO
    },
    Row {
        name: "georadius", arity: -6, flags: GROW,
        keys: &[READ_KEY, OVERWRITE_KEY.after("STORE", 6), OVERWRITE_KEY.after("STOREDIST", 6)],
        usage: "key:key longitude:double latitude:double radius:double unit(M|KM|FT|MI) \
            [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:integer [ANY@6.2.0])] \
            [order(ASC|DESC)] [STORE storekey<key>:key] [STOREDIST storedistkey<key>:key]",
        since: "3.2.0", complexity: RADIUS_COMPLEXITY,
        history: &[
            ("6.2.0", "Added the `ANY` option for `COUNT`."),
            ("7.0.0", "Added support for uppercase unit names."),
        ],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
        summary: "Finds the places within a distance of a point, or stores them.",
        handler: Handler::Data(georadius),
        ..GEO
    },
    Row {
        name: "georadius_ro", arity: -6, flags: READ, keys: &[READ_KEY],
        usage: "key:key longitude:double latitude:double radius:double unit(M|KM|FT|MI) \
            [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:integer [ANY@6.2.0])] \
            [order(ASC|DESC)]",
        since: "3.2.10", complexity: RADIUS_COMPLEXITY,
        history: &[("6.2.0", "Added the `ANY` option for `COUNT`.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        summary: "Finds the places within a distance of a point.",
        handler: Handler::Data(georadius_ro),
        ..GEO
    },
    Row {
        name: "georadiusbymember", arity: -5, flags: GROW,
        keys: &[READ_KEY, OVERWRITE_KEY.after("STORE", 5), OVERWRITE_KEY.after("STOREDIST", 5)],
        usage: "key:key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
            [count-block(COUNT count:integer [ANY])] [order(ASC|DESC)] [STORE storekey<key>:key] \
            [STOREDIST storedistkey<key>:key]",
        since: "3.2.0", complexity: RADIUS_COMPLEXITY,
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )),
        summary: "Finds the places within a distance of a member, or stores them.",
        handler: Handler::Data(georadiusbymember),
        ..GEO
    },
    Row {
        name: "georadiusbymember_ro", arity: -5, flags: READ, keys: &[READ_KEY],
        usage: "key:key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
            [count-block(COUNT count:integer [ANY])] [order(ASC|DESC)]",
        since: "3.2.10", complexity: RADIUS_COMPLEXITY,
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        summary: "Finds the places within a distance of a member.",
        handler: Handler::Data(georadiusbymember_ro),
        ..GEO
    },
    Row {
        name: "geosearch", arity: -7, flags: READ, keys: &[READ_KEY],
        usage: "key:key from(FROMMEMBER member | FROMLONLAT fromlonlat(longitude:double \
            latitude:double)) by(circle(BYRADIUS radius:double unit(M|KM|FT|MI)) | box(BYBOX \
            width:double height:double unit(M|KM|FT|MI))) [order(ASC|DESC)] \
            [count-block(COUNT count:integer [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
        since: "6.2.0", complexity: SEARCH_COMPLEXITY,
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        summary: "Finds the places in a circle or a box.",
        handler: Handler::Data(geosearch),
        ..GEO
    },
    Row {
        name: "geosearchstore", arity: -8, flags: GROW, keys: &[OVERWRITE_KEY, READ_KEY.at(2)],
        usage: "destination:key source:key from(FROMMEMBER member | FROMLONLAT \
            fromlonlat(longitude:double latitude:double)) by(circle(BYRADIUS radius:double \
            unit(M|KM|FT|MI)) | box(BYBOX width:double height:double unit(M|KM|FT|MI))) \
            [order(ASC|DESC)] [count-block(COUNT count:integer [ANY])] [STOREDIST]",
        since: "6.2.0", complexity: SEARCH_COMPLEXITY,
        history: &[("7.0.0", "Added support for uppercase unit names.")],
        summary: "Finds the places in a circle or a box, and stores them.",
        handler: Handler::Data(geosearchstore),
        ..GEO
    },
];

const RADIUS_COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements inside the \
    bounding box of the circular area delimited by center and radius and M is the number of \
    items inside the index.";
const SEARCH_COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements in the grid-aligned \
    bounding box area around the shape provided as the filter and M is the number of items \
    inside the shape";

fn geoadd(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let mut options = AddOptions::default();
    loop {
        if args.keyword("nx") {
            options.only_new = true;
        } else if args.keyword("xx") {
            options.only_known = true;
        } else if args.keyword("ch") {
            options.counts_changes = true;
        } else {
            break;
        }
    }
    let count = args.remaining() / 3;
    let is_whole = count > 0 && args.remaining().is_multiple_of(3);
    if !is_whole || options.only_new && options.only_known {
        return Err(Error::SYNTAX);
    }
    let mut members = Vec::with_capacity(count);
    while args.remaining() > 0 {
        let score = place(&mut args)?.score();
        members.push((args.next()?, score));
    }
    add_members(db, key, options, &members, reply)
}

fn geodist(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, first, second) = (args.next()?, args.next()?, args.next()?);
    let unit = match args.remaining() {
        0 => 1.0,
        1 => unit(&mut args)?,
        _ => return Err(Error::SYNTAX),
    };
    let zset = db.read_value::<Zset>(key)?;
    let place = |member| Some(Place::of_score(zset?.score(member)?));
    match (place(first), place(second)) {
        (Some(first), Some(second)) => write_distance(first.distance(second) / unit, reply),
        _ => reply.null(),
    }
    Ok(())
}

fn geohash(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let zset = db.read_value::<Zset>(args.next()?)?;
    reply.array(args.remaining());
    for member in args.rest() {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => reply.bulk(&Place::of_score(score).geohash()),
            None => reply.null(),
        }
    }
    Ok(())
}

fn geopos(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let zset = db.read_value::<Zset>(args.next()?)?;
    reply.array(args.remaining());
    for member in args.rest() {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => write_place(Place::of_score(score), reply),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// Longitude and latitude, with 17 digits behind the point.
fn write_place(place: Place, reply: &mut Reply<'_>) {
    reply.array(2);
    reply.long_double(LongDouble::from(place.longitude));
    reply.long_double(LongDouble::from(place.latitude));
}

/// Four digits behind the point, as text in RESP3 too.
fn write_distance(distance: f64, reply: &mut Reply<'_>) {
    let scaled = (distance * 10_000.0).round_ties_even() as u64;
    reply.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}

/// The next argument as a double; `error` otherwise.
fn double_or(args: &mut Args<'_>, error: Error) -> Result<f64> {
    double::parse(args.next()?).ok_or(error)
}

/// The next two arguments as a place.
fn place(args: &mut Args<'_>) -> Result<Place> {
    let longitude = double_or(args, Error::NOT_A_FLOAT)?;
    let latitude = double_or(args, Error::NOT_A_FLOAT)?;
    let place = Place::new(longitude, latitude);
    place.ok_or_else(|| Error::no_place(longitude, latitude))
}

/// The next argument as a unit: how many metres it has.
fn unit(args: &mut Args<'_>) -> Result<f64> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let named = UNITS.iter().find(|(name, _)| args.keyword(name));
    named.map(|(_, metres)| *metres).ok_or(Error::NO_UNIT)
}

/// The next two arguments as the radius of a circle and its unit.
fn circle(args: &mut Args<'_>) -> Result<(Shape, f64)> {
    let radius = double_or(args, Error::RADIUS_NOT_A_NUMBER)?;
    if radius < 0.0 {
        return Err(Error::RADIUS_NEGATIVE);
    }
    Ok((Shape::Circle { radius }, unit(args)?))
}

/// The next three arguments as the sides of a box and their unit.
fn rectangle(args: &mut Args<'_>) -> Result<(Shape, f64)> {
    let width = double_or(args, Error::WIDTH_NOT_A_NUMBER)?;
    let height = double_or(args, Error::HEIGHT_NOT_A_NUMBER)?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::BOX_NEGATIVE);
    }
    Ok((Shape::Box { width, height }, unit(args)?))
}

fn georadius(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    search(db, args, reply, Around::Point, Storing::Optional)
}

fn georadius_ro(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    search(db, args, reply, Around::Point, Storing::Never)
}

fn georadiusbymember(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    search(db, args, reply, Around::Member, Storing::Optional)
}

fn georadiusbymember_ro(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    search(db, args, reply, Around::Member, Storing::Never)
}

fn geosearch(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    search(db, args, reply, Around::Option, Storing::Never)
}

fn geosearchstore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    search(db, args, reply, Around::Option, Storing::Always)
}

/// How a command is told where to search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// `longitude latitude radius unit`
    Point,
    /// `member radius unit`
    Member,
    /// By options, which also tell the shape.
    Option,
}

/// Whether a command stores what it finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storing {
    Never,
    /// With the options STORE and STOREDIST.
    Optional,
    /// Under the key that is its first argument.
    Always,
}

fn search(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    around: Around,
    storing: Storing,
) -> Result<()> {
    let destination = match storing {
        Storing::Always => Some(args.next()?),
        Storing::Never | Storing::Optional => None,
    };
    let limits = db.limits().zset;
    let zset = db.read_value::<Zset>(args.next()?)?;
    let mut query = Query {
        store: destination.map(|key| (key, Stored::Place)),
        ..Query::default()
    };
    query.parse(args, around, storing, zset)?;
    let found = match (zset, query.search()) {
        (Some(zset), Some(search)) => query.find(&search, zset),
        _ => Vec::new(),
    };
    let Some((key, stored)) = query.store else {
        query.write(&found, reply);
        return Ok(());
    };
    let mut places = Zset::default();
    places.expect(found.len(), limits)?;
    for point in &found {
        let score = match stored {
            Stored::Place => point.score,
            Stored::Distance => point.distance / query.unit(),
        };
        places.insert(point.member, score, limits)?;
    }
    let event = match around {
        Around::Point | Around::Member => "georadiusstore",
        Around::Option => "geosearchstore",
    };
    let len = found.len();
    db.replace(key, places, event, len)?;
    reply.len(len);
    Ok(())
}

/// What is stored as the score of a member that was found.
#[derive(Clone, Copy)]
enum Stored {
    Place,
    Distance,
}

/// Where the middle of a search is.
#[derive(Clone, Copy)]
enum Middle {
    /// Where this member is; `None` if nothing is stored under the key.
    Member(Option<Place>),
    Point(Place),
}

/// What is to be found, and how it is to be answered.
#[derive(Default)]
struct Query<'a> {
    middle: Option<Middle>,
    /// With the metres of its unit.
    shape: Option<(Shape, f64)>,
    descending: Option<bool>,
    /// How many at the most, and whether any will do or the nearest are wanted.
    count: Option<usize>,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    /// Where to store, and what.
    store: Option<(&'a [u8], Stored)>,
}

impl<'a> Query<'a> {
    /// Reads what follows the key that is searched, which holds `zset`.
    fn parse(
        &mut self,
        mut args: Args<'a>,
        around: Around,
        storing: Storing,
        zset: Option<ZsetRef<'_>>,
    ) -> Result<()> {
        match around {
            Around::Point => {
                self.middle = Some(Middle::Point(place(&mut args)?));
                self.shape = Some(circle(&mut args)?);
            }
            Around::Member if zset.is_some() => {
                self.middle = Some(member(&mut args, zset)?);
                self.shape = Some(circle(&mut args)?);
            }
            // Where there is nothing to search, Redis reads options alone.
            Around::Member => _ = args.take(3)?,
            Around::Option => {}
        }
        while args.remaining() > 0 {
            self.parse_option(&mut args, around, storing, zset)?;
        }
        self.check(&args, around)
    }

    fn parse_option(
        &mut self,
        args: &mut Args<'a>,
        around: Around,
        storing: Storing,
        zset: Option<ZsetRef<'_>>,
    ) -> Result<()> {
        // An option without its values is no option: a syntax error.
        let values = args.remaining() - 1;
        let (optional, always) = (storing == Storing::Optional, storing == Storing::Always);
        // FROMMEMBER may follow itself, but not FROMLONLAT, and so on.
        let by_option = around == Around::Option;
        let from_member = by_option && !matches!(self.middle, Some(Middle::Point(_)));
        let from_point = by_option && !matches!(self.middle, Some(Middle::Member(_)));
        let by_circle = by_option && !matches!(self.shape, Some((Shape::Box { .. }, _)));
        let by_box = by_option && !matches!(self.shape, Some((Shape::Circle { .. }, _)));
        if args.keyword("withdist") {
            self.with_distance = true;
        } else if args.keyword("withhash") {
            self.with_hash = true;
        } else if args.keyword("withcoord") {
            self.with_place = true;
        } else if args.keyword("any") {
            self.any = true;
        } else if args.keyword("asc") {
            self.descending = Some(false);
        } else if args.keyword("desc") {
            self.descending = Some(true);
        } else if values >= 1 && args.keyword("count") {
            let count = args.int()?;
            if count <= 0 {
                return Err(Error::GEO_COUNT_NOT_POSITIVE);
            }
            self.count = Some(count as usize);
        } else if optional && values >= 1 && args.keyword("store") {
            self.store = Some((args.next()?, Stored::Place));
        } else if optional && values >= 1 && args.keyword("storedist") {
            self.store = Some((args.next()?, Stored::Distance));
        } else if always && args.keyword("storedist") {
            self.store = self.store.map(|(key, _)| (key, Stored::Distance));
        } else if from_member && values >= 1 && args.keyword("frommember") {
            self.middle = Some(member(args, zset)?);
        } else if from_point && values >= 2 && args.keyword("fromlonlat") {
            self.middle = Some(Middle::Point(place(args)?));
        } else if by_circle && values >= 2 && args.keyword("byradius") {
            self.shape = Some(circle(args)?);
        } else if by_box && values >= 3 && args.keyword("bybox") {
            self.shape = Some(rectangle(args)?);
        } else {
            return Err(Error::SYNTAX);
        }
        Ok(())
    }

    /// Whether the options go together.
    fn check(&self, args: &Args<'_>, around: Around) -> Result<()> {
        let by_option = around == Around::Option;
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            return Err(match by_option {
                true => Error::GEOSEARCHSTORE_WITH,
                false => Error::GEORADIUS_STORE_WITH,
            });
        }
        let name = args.argv().get(0).unwrap_or_default();
        if by_option && self.middle.is_none() {
            const TEXT: &str = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(Error::quoting(TEXT, name, ""));
        }
        if by_option && self.shape.is_none() {
            const TEXT: &str = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(Error::quoting(TEXT, name, ""));
        }
        match (self.any, self.count) {
            (true, None) => Err(Error::ANY_WITHOUT_COUNT),
            _ => Ok(()),
        }
    }

    /// What is to be searched, if anything is stored.
    fn search(&self) -> Option<Search> {
        let middle = match self.middle? {
            Middle::Member(place) => place?,
            Middle::Point(place) => place,
        };
        let (shape, unit) = self.shape?;
        Some(Search {
            middle,
            shape,
            unit,
        })
    }

    /// How many metres the unit has.
    fn unit(&self) -> f64 {
        self.shape.map_or(1.0, |(_, unit)| unit)
    }

    /// What is there, in the order in which it is to be answered.
    fn find<'z>(&self, search: &Search, zset: ZsetRef<'z>) -> Vec<Point<'z>> {
        let entries = search.scores().flat_map(|scores| {
            let bound = |score, is_exclusive| ScoreBound {
                score,
                is_exclusive,
            };
            let ranks = zset.ranks_by_score(bound(scores.start, false), bound(scores.end, true));
            zset.range(ranks, Direction::Up)
        });
        let points = entries.filter_map(|(member, score)| {
            let place = Place::of_score(score);
            search.find(place).map(|distance| Point {
                member,
                score,
                place,
                distance,
            })
        });
        let count = self.count.unwrap_or(usize::MAX);
        let enough = if self.any { count } else { usize::MAX };
        let mut points: Vec<_> = points.take(enough).collect();
        // To answer some only makes sense if it is the nearest, unless it is
        // said that any will do.
        let descending = match self.descending {
            None if self.any || self.count.is_none() => return points,
            order => order == Some(true),
        };
        let compare = |a: &Point<'_>, b: &Point<'_>| -> Ordering {
            let ascending = a.distance.total_cmp(&b.distance);
            match descending {
                false => ascending,
                true => ascending.reverse(),
            }
        };
        if count < points.len() {
            sort_part(&mut points, 0..count, compare);
            points.truncate(count);
        } else {
            points.sort_by(compare);
        }
        points
    }

    fn write(&self, points: &[Point<'_>], reply: &mut Reply<'_>) {
        let with = [self.with_distance, self.with_hash, self.with_place];
        let extras = with.into_iter().filter(|with| *with).count();
        reply.array(points.len());
        for point in points {
            if extras > 0 {
                reply.array(1 + extras);
            }
            reply.bulk(point.member);
            if self.with_distance {
                write_distance(point.distance / self.unit(), reply);
            }
            if self.with_hash {
                reply.int(point.score as i64);
            }
            if self.with_place {
                write_place(point.place, reply);
            }
        }
    }
}

/// The next argument as a member whose place is the middle.
fn member(args: &mut Args<'_>, zset: Option<ZsetRef<'_>>) -> Result<Middle> {
    let member = args.next()?;
    let place = |zset: ZsetRef<'_>| {
        let score = zset.score(member);
        score.map(Place::of_score).ok_or(Error::NO_GEO_MEMBER)
    };
    zset.map(place).transpose().map(Middle::Member)
}

/// A member that was found.
struct Point<'z> {
    member: &'z [u8],
    score: f64,
    place: Place,
    /// From the middle, in metres.
    distance: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;

    #[test]
    fn what_changes_is_told_of() {
        let mut data = Data::new();
        let before = data.keyspace.journal.dirty;
        assert_eq!(data.run("GEOADD k 1 1 a 2 2 b"), ":2");
        assert_eq!(data.events_of_keys(), ["0 new k", "0 zadd k"]);
        assert_eq!(data.run("GEOADD k CH 1 1 a 2 3 b"), ":1");
        assert_eq!(data.events_of_keys(), ["0 zadd k"]);
        assert_eq!(data.run("GEOADD k NX 9 9 a"), ":0");
        assert_eq!(data.run("GEOADD other XX 9 9 a"), ":0");
        assert_eq!(data.events(), "");
        assert_eq!(data.keyspace.journal.dirty - before, 3);
        let search = "FROMMEMBER a BYRADIUS 1000 km";
        assert_eq!(data.run(&format!("GEOSEARCHSTORE d k {search}")), ":2");
        assert_eq!(data.events_of_keys(), ["0 new d", "0 geosearchstore d"]);
        assert_eq!(data.run("GEORADIUS k 1 1 1 m STORE d"), ":1");
        assert_eq!(data.events_of_keys(), ["0 georadiusstore d"]);
        assert_eq!(data.run("GEORADIUSBYMEMBER k b 1 m STOREDIST d"), ":1");
        assert_eq!(data.events_of_keys(), ["0 georadiusstore d"]);
        assert_eq!(data.run("GEORADIUS k 9 9 1 m STORE d"), ":0");
        assert_eq!(data.events_of_keys(), ["0 del d"]);
        assert_eq!(data.run("GEORADIUS k 9 9 1 m STORE d"), ":0");
        assert_eq!(data.events(), "");
        assert_eq!(data.keyspace.journal.dirty - before, 8);
    }

    /// The strings of a reply without nested arrays.
    fn members(reply: &str) -> Vec<&str> {
        reply.split(' ').skip(2).step_by(2).collect()
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn a_search_finds_what_is_in_its_shape(
            places in proptest::collection::vec((-100.0..100.0f64, -60.0..60.0f64), 1..300),
            (longitude, latitude) in (-100.0..100.0f64, -60.0..60.0f64),
            size in 0.0..6.0f64,
            count in 1usize..20,
        ) {
            let mut data = Data::new();
            let mut stored = Vec::new();
            for (n, (longitude, latitude)) in places.into_iter().enumerate() {
                data.given(&[&format!("GEOADD k {longitude} {latitude} {n}")]);
                let place = Place::new(longitude, latitude).unwrap();
                stored.push((n.to_string(), Place::of_score(place.score())));
            }
            let radius = 10f64.powf(size);
            let searched = format!("GEOSEARCH k FROMLONLAT {longitude} {latitude}");
            for (text, shape) in [
                (format!("BYRADIUS {radius} m"), Shape::Circle { radius }),
                (
                    format!("BYBOX {} {radius} m", 3.0 * radius),
                    Shape::Box { width: 3.0 * radius, height: radius },
                ),
            ] {
                let middle = Place::new(longitude, latitude).unwrap();
                let search = Search { middle, shape, unit: 1.0 };
                let found = stored.iter().filter_map(|(name, place)| {
                    Some((search.find(*place)?, name.as_str()))
                });
                let mut found: Vec<_> = found.collect();
                found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                let names: Vec<_> = found.iter().map(|(_, name)| *name).collect();
                let reply = data.run(&format!("{searched} {text} ASC"));
                proptest::prop_assert_eq!(members(&reply), names.clone());
                let reply = data.run(&format!("{searched} {text} COUNT {count}"));
                let nearest = &names[..count.min(names.len())];
                proptest::prop_assert_eq!(members(&reply), nearest);
                let reply = data.run(&format!("{searched} {text} COUNT {count} ANY"));
                let any = members(&reply);
                proptest::prop_assert_eq!(any.len(), nearest.len());
                proptest::prop_assert!(any.iter().all(|member| names.contains(member)));
            }
        }
    }
}
