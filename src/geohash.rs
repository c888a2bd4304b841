//! Places on earth as Redis keeps them: an integer of 52 bits, the score of a
//! member of a sorted set.
//!
//! Bits of the longitude and of the latitude take turns, the highest first, so
//! that all places of a cell follow each other in the order of their scores,
//! and a search looks through nine runs of scores at most. What is computed in
//! floating point is computed step by step as Redis does it, or else the last
//! digits of distances would be others.

use std::f64::consts::PI;
use std::ops::Range;

/// How many bits of each coordinate a score has.
const STEPS: u32 = 26;

/// The longitudes that there are.
const LONGITUDES: [f64; 2] = [-180.0, 180.0];

/// The latitudes that Redis indexes: those of the square map of the web.
const LATITUDES: [f64; 2] = [-85.051_128_78, 85.051_128_78];

/// The latitudes of a geohash as a text.
const ALL_LATITUDES: [f64; 2] = [-90.0, 90.0];

/// The radius of the earth in metres. Redis takes it for a ball.
const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// Half of the equator in metres, as Redis has it for its map.
const MAP_MAX: f64 = 20_037_726.37;

const RADIANS_PER_DEGREE: f64 = PI / 180.0;

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// A place on earth, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Place {
    /// East is positive.
    pub longitude: f64,
    /// North is positive.
    pub latitude: f64,
}

impl Place {
    /// The place, if it is one that can be indexed.
    pub fn new(longitude: f64, latitude: f64) -> Option<Place> {
        let within = |value: f64, [min, max]: [f64; 2]| (min..=max).contains(&value);
        let is_there = within(longitude, LONGITUDES) && within(latitude, LATITUDES);
        is_there.then_some(Place {
            longitude,
            latitude,
        })
    }

    /// The place that a score stands for. Any score stands for one, because
    /// anything can be added to a sorted set.
    pub fn of_score(score: f64) -> Place {
        let area = Cell {
            bits: integer(score),
            steps: STEPS,
        }
        .area();
        let middle = |[min, max]: [f64; 2]| (min + max) / 2.0;
        Place {
            longitude: middle(area.longitudes).clamp(LONGITUDES[0], LONGITUDES[1]),
            latitude: middle(area.latitudes).clamp(LATITUDES[0], LATITUDES[1]),
        }
    }

    /// The score that stands for the place.
    pub fn score(self) -> f64 {
        Cell::around(self, STEPS, LATITUDES).bits as f64
    }

    /// The geohash that other programs understand, of 11 characters. Those
    /// programs count latitudes up to the poles.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::around(self, STEPS, ALL_LATITUDES).bits;
        // 52 bits are ten characters of five bits. Redis answers eleven, of
        // which the last one is always 0.
        let mut text = [ALPHABET[0]; 11];
        for (at, character) in text[..10].iter_mut().enumerate() {
            let five = bits >> (2 * STEPS as usize - 5 * (at + 1));
            *character = ALPHABET[five as usize % ALPHABET.len()];
        }
        text
    }

    /// How many metres it is to another place, along a great circle.
    pub fn distance(self, other: Place) -> f64 {
        let (longitude, other_longitude) = (radians(self.longitude), radians(other.longitude));
        let v = ((other_longitude - longitude) / 2.0).sin();
        if v == 0.0 {
            return distance_north(self.latitude, other.latitude);
        }
        let (latitude, other_latitude) = (radians(self.latitude), radians(other.latitude));
        let u = ((other_latitude - latitude) / 2.0).sin();
        let haversine = u * u + latitude.cos() * other_latitude.cos() * v * v;
        // Rounding could bring it above 1 between two ends of the earth, and
        // what has no number as its distance has no place in an order.
        2.0 * EARTH_RADIUS * haversine.min(1.0).sqrt().asin()
    }
}

/// How many metres it is from one latitude to another.
fn distance_north(latitude: f64, other: f64) -> f64 {
    EARTH_RADIUS * (radians(other) - radians(latitude)).abs()
}

/// The score as an integer, as C's conversion to 64 unsigned bits gives it on
/// x86: what is negative wraps around, and what does not fit is 0.
fn integer(score: f64) -> u64 {
    const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
    if score < 0.0 {
        score as i64 as u64
    } else if score < TOO_LARGE {
        score as u64
    } else {
        0
    }
}

/// One of the parts into which the map is cut when both of its sides are
/// halved so many times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    /// Bits of the latitude at even places, bits of the longitude at odd ones.
    bits: u64,
    /// How many bits of each.
    steps: u32,
}

/// The edges of a part of the map, the smaller one first.
#[derive(Clone, Copy, Debug)]
struct Area {
    longitudes: [f64; 2],
    latitudes: [f64; 2],
}

/// The places of a latitude's bits, and of a longitude's.
const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = EVEN << 1;

impl Cell {
    /// The cell that a place is in, on a map of these latitudes. What is at the
    /// edge of the map is in a cell beyond it, whose bits are one more.
    fn around(place: Place, steps: u32, latitudes: [f64; 2]) -> Cell {
        let index = |value: f64, [min, max]: [f64; 2]| {
            let offset = (value - min) / (max - min) * (1u64 << steps) as f64;
            offset as u32
        };
        let north = spread(index(place.latitude, latitudes));
        let east = spread(index(place.longitude, LONGITUDES));
        Cell {
            bits: north | (east << 1),
            steps,
        }
    }

    fn area(self) -> Area {
        let edges = |index: u32, [min, max]: [f64; 2]| {
            let edge = |index: u32| {
                let share = f64::from(index) / (1u64 << self.steps) as f64;
                min + share * (max - min)
            };
            [edge(index), edge(index.wrapping_add(1))]
        };
        Area {
            longitudes: edges(gather(self.bits >> 1), LONGITUDES),
            latitudes: edges(gather(self.bits), LATITUDES),
        }
    }

    /// The cell so many steps further east and north, each -1, 0 or 1. Behind
    /// the edge of the map is the other edge.
    fn neighbour(self, [east, north]: [i8; 2]) -> Cell {
        let bits = moved(self.bits, ODD, self.steps, east);
        Cell {
            bits: moved(bits, EVEN, self.steps, north),
            ..self
        }
    }

    /// The scores of the places in it.
    fn scores(self) -> Range<f64> {
        let shift = 2 * (STEPS - self.steps);
        let score = |bits: u64| (bits << shift) as f64;
        score(self.bits)..score(self.bits + 1)
    }
}

/// One more or one less in the coordinate whose bits are at the places `own`.
fn moved(bits: u64, own: u64, steps: u32, by: i8) -> u64 {
    if by == 0 {
        return bits;
    }
    let all = u64::MAX >> (64 - 2 * steps);
    // With ones between the bits, a carry reaches the next one of its own.
    let between = !own & all;
    let value = bits & own;
    let value = if by > 0 {
        value + (between + 1)
    } else {
        (value | between).wrapping_sub(between + 1)
    };
    (value & own & all) | (bits & !own)
}

/// The bits with a zero before each.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    bits = (bits | (bits << 16)) & 0x0000_ffff_0000_ffff;
    bits = (bits | (bits << 8)) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | (bits << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | (bits << 2)) & 0x3333_3333_3333_3333;
    (bits | (bits << 1)) & EVEN
}

/// The bits at even places, side by side.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & EVEN;
    bits = (bits | (bits >> 1)) & 0x3333_3333_3333_3333;
    bits = (bits | (bits >> 2)) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | (bits >> 4)) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | (bits >> 8)) & 0x0000_ffff_0000_ffff;
    (bits | (bits >> 16)) as u32
}

/// The part of the earth that a search is for. Lengths are in a unit of the
/// client's choice.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// What is no further from the middle than this.
    Circle {
        /// The largest distance.
        radius: f64,
    },
    /// What is no further than half of this to the east and west, and to the
    /// north and south.
    Box {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// A search for the places around one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Search {
    /// The middle.
    pub middle: Place,
    /// How far.
    pub shape: Shape,
    /// How many metres the unit of the shape has.
    pub unit: f64,
}

/// A cell and its eight neighbours, as steps east and north, in the order in
/// which Redis looks through them. It is that of answers without an order.
const AROUND: [[i8; 2]; 9] = [
    [0, 0],
    [0, 1],
    [0, -1],
    [1, 0],
    [-1, 0],
    [1, 1],
    [-1, 1],
    [1, -1],
    [-1, -1],
];

impl Search {
    /// How far the place is from the middle in metres, if it is in the shape.
    pub fn find(&self, place: Place) -> Option<f64> {
        let is_outside = match self.shape {
            Shape::Circle { radius } => {
                let distance = self.middle.distance(place);
                return (distance <= radius * self.unit).then_some(distance);
            }
            Shape::Box { width, height } => {
                let beside = Place {
                    longitude: self.middle.longitude,
                    ..place
                };
                distance_north(place.latitude, self.middle.latitude) > height * self.unit / 2.0
                    || place.distance(beside) > width * self.unit / 2.0
            }
        };
        (!is_outside).then(|| self.middle.distance(place))
    }

    /// The scores among which all places in the shape are, in the order in
    /// which Redis looks through them.
    pub fn scores(&self) -> impl Iterator<Item = Range<f64>> {
        let bounds = self.bounds();
        let cell = self.cell(bounds);
        let area = cell.area();
        // A cell that reaches further than the search makes those behind it
        // needless; not so at the first step, where the cells behind one are
        // those before it.
        let is_needless = move |[east, north]: [i8; 2]| {
            cell.steps >= 2
                && (north < 0 && area.latitudes[0] < bounds.latitudes[0]
                    || north > 0 && area.latitudes[1] > bounds.latitudes[1]
                    || east < 0 && area.longitudes[0] < bounds.longitudes[0]
                    || east > 0 && area.longitudes[1] > bounds.longitudes[1])
        };
        let mut last = None;
        AROUND.into_iter().filter_map(move |steps| {
            let next = cell.neighbour(steps);
            // On a map of two times two cells, one is a neighbour on both
            // sides.
            if is_needless(steps) || last == Some(next) {
                return None;
            }
            last = Some(next);
            Some(next.scores())
        })
    }

    /// The edges of the shape. Of longitudes it is those at the side that is
    /// nearer to a pole, where a degree is shortest.
    fn bounds(&self) -> Area {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let (width, height) = (self.unit * width, self.unit * height);
        let Place {
            longitude,
            latitude,
        } = self.middle;
        let north = degrees(height / EARTH_RADIUS);
        let polar = if latitude < 0.0 {
            latitude - north
        } else {
            latitude + north
        };
        let east = degrees(width / EARTH_RADIUS / radians(polar).cos());
        Area {
            longitudes: [longitude - east, longitude + east],
            latitudes: [latitude - north, latitude + north],
        }
    }

    /// The cell around the middle which, with its neighbours, covers the shape.
    fn cell(&self, bounds: Area) -> Cell {
        let steps = self.steps();
        let cell = Cell::around(self.middle, steps, LATITUDES);
        let [north, south, east, west] =
            [[0, 1], [0, -1], [1, 0], [-1, 0]].map(|steps| cell.neighbour(steps).area());
        let is_too_small = north.latitudes[1] < bounds.latitudes[1]
            || south.latitudes[0] > bounds.latitudes[0]
            || east.longitudes[1] < bounds.longitudes[1]
            || west.longitudes[0] > bounds.longitudes[0];
        if steps > 1 && is_too_small {
            Cell::around(self.middle, steps - 1, LATITUDES)
        } else {
            cell
        }
    }

    /// How many times the map is halved until a cell is about as large as the
    /// shape. Towards the poles its cells are smaller than they look.
    fn steps(&self) -> u32 {
        let radius = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                (width / 2.0 * (width / 2.0) + height / 2.0 * (height / 2.0)).sqrt()
            }
        };
        let mut radius = radius * self.unit;
        if radius == 0.0 {
            return STEPS;
        }
        let mut steps = -1;
        while radius < MAP_MAX {
            radius *= 2.0;
            steps += 1;
        }
        let latitude = self.middle.latitude.abs();
        steps -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        steps.clamp(1, STEPS as i32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from GEOADD, ZSCORE, GEOHASH and GEOPOS on Redis 7.0.15, the places with all 17
    /// digits.
    #[rustfmt::skip]
    const RECORDED: [(f64, f64, u64, &str, &str); 13] = [
        (13.361389, 38.115556, 3479099956230698, "sqc8b49rny0", "13.36138933897018433 38.11555639549629859"),
        (15.087269, 37.502669, 3479447370796909, "sqdtr74hyu0", "15.08726745843887329 37.50266842333162032"),
        (180.0, 85.05112878, 13510798882111488, "bp05b5048p0", "180.00000000000000000 85.05112877999999910"),
        (-180.0, -85.05112878, 0, "00bh0hbj200", "-179.99999731779098511 -85.05112751263942528"),
        (0.0, 0.0, 3377699720527872, "s0000000000", "0.00000268220901489 0.00000126736058093"),
        (-0.1278, 51.5074, 2163557714755072, "gcpvj0duq50", "-0.12779921293258667 51.50740077990133159"),
        (-122.4194155, 37.7749295, 1367859919124776, "9q8yyk8yuv0", "-122.41941779851913452 37.77493042721969374"),
        (179.9999, 0.00001, 4128299658422439, "xbpbpbpbj90", "179.99990075826644897 0.00000887152405227"),
        (1e-7, -1e-7, 2627099782632789, "kpbpbpbpbp0", "0.00000268220901489 -0.00000126736058093"),
        (-63.420205, -59.390556, 670489891157573, "4t6yhu6bfj0", "-63.42020720243453979 -59.39055594648431224"),
        (54.33641, -72.728588, 2413206915811137, "j5ndk2nt600", "54.33640748262405396 -72.72858820067659735"),
        (-166.501563, -11.286869, 366653446779210, "2mcxg1m30r0", "-166.50156050920486450 -11.28686872194447233"),
        (171.451838, -77.126286, 3004414679481742, "pf3cjrx6v60", "171.45184010267257690 -77.12628632186996924"),
    ];

    fn place(longitude: f64, latitude: f64) -> Place {
        Place::new(longitude, latitude).unwrap()
    }

    #[test]
    fn places_and_scores_are_those_of_redis() {
        for (longitude, latitude, score, geohash, back) in RECORDED {
            assert_eq!(place(longitude, latitude).score(), score as f64);
            let place = Place::of_score(score as f64);
            assert_eq!(
                format!("{:.17} {:.17}", place.longitude, place.latitude),
                back
            );
            assert_eq!(place.geohash(), geohash.as_bytes(), "of {score}");
        }
    }

    /// Recorded as above, of scores that nobody gets from a place.
    #[test]
    fn any_score_is_a_place() {
        let (west, east) = (-179.999_997_317_790_99, 180.0);
        let (south, north) = (-85.051_127_512_639_43, 85.051_128_78);
        for (score, longitude, latitude) in [
            (-1.0, east, north),
            (4_503_599_627_370_496.0, west, north),
            (1e300, west, south),
            (-1e300, east, south),
            (f64::INFINITY, west, south),
            (f64::NEG_INFINITY, east, south),
            (9_223_372_036_854_775_808.0, east, south),
            (18_446_744_073_709_551_616.0, west, south),
        ] {
            assert_eq!(
                Place::of_score(score),
                place(longitude, latitude),
                "{score}"
            );
        }
        assert_eq!(Place::of_score(3.7), Place::of_score(3.0));
    }

    #[test]
    fn what_is_not_on_the_map_is_no_place() {
        for (longitude, latitude) in [(180.01, 0.0), (-180.01, 0.0), (0.0, 85.06), (0.0, -85.06)] {
            assert_eq!(Place::new(longitude, latitude), None);
        }
    }

    /// Recorded from GEOSEARCHSTORE with STOREDIST.
    #[test]
    fn distances_are_those_of_redis() {
        // Another library of mathematics has other last digits, in Redis too.
        let is_same_library = cfg!(all(target_os = "linux", target_env = "gnu"));
        let stored = |at: usize| Place::of_score(RECORDED[at].2 as f64);
        for (a, b, recorded) in [
            (0, 1, "166274.15156960033"),
            (3, 5, "16289787.846805973"),
            (4, 5, "5728990.0776116895"),
            (7, 8, "20020722.63148788"),
            (4, 12, "11426087.609003039"),
            (8, 9, "8545583.5152123757"),
            (0, 8, "4454733.2908564806"),
            (10, 11, "10223140.860589717"),
            (6, 7, "7221714.245083075"),
        ] {
            let distance = stored(a).distance(stored(b));
            let recorded: f64 = recorded.parse().unwrap();
            assert!((distance - recorded).abs() < 1e-6, "{distance} {recorded}");
            assert!(
                distance == recorded || !is_same_library,
                "{distance} {recorded}"
            );
        }
    }

    #[test]
    fn opposite_ends_of_the_earth_have_a_distance() {
        let half_around = PI * EARTH_RADIUS;
        for degree in 0..18_000 {
            let latitude = f64::from(degree - 9_000) / 106.0;
            let there = place(f64::from(degree) / 100.0, latitude);
            let opposite = place(there.longitude - 180.0, -latitude);
            let distance = there.distance(opposite);
            assert!(
                (distance - half_around).abs() < 1.0,
                "{there:?}: {distance}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn a_place_comes_back_from_its_score(
            longitude in -180.0..180.0f64,
            latitude in -85.05..85.05f64,
        ) {
            let there = place(longitude, latitude);
            let back = Place::of_score(there.score());
            proptest::prop_assert!(there.distance(back) < 0.4);
            proptest::prop_assert_eq!(back.score(), there.score());
        }

        /// Not next to the poles, nor where the earth's map is cut.
        #[test]
        fn all_places_of_a_search_are_among_its_scores(
            longitude in -100.0..100.0f64,
            latitude in -60.0..60.0f64,
            size in 0.0..1_000.0f64,
            east in -1.0..1.0f64,
            north in -1.0..1.0f64,
        ) {
            let around = place(longitude, latitude);
            let degrees = size / 80.0;
            let there = place(longitude + east * degrees, latitude + north * degrees);
            let there = Place::of_score(there.score());
            let shapes = [
                Shape::Circle { radius: size },
                Shape::Box { width: size, height: 2.0 * size },
                Shape::Box { width: 2.0 * size, height: size / 100.0 },
            ];
            for shape in shapes {
                let search = Search { middle: around, shape, unit: 1000.0 };
                let runs: Vec<_> = search.scores().collect();
                let found = runs.iter().filter(|run| run.contains(&there.score())).count();
                proptest::prop_assert!(found <= 1, "two runs have the place");
                if search.find(there).is_some() {
                    proptest::prop_assert_eq!(found, 1, "no run has the place");
                }
            }
        }
    }
}
