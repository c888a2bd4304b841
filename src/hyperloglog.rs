//! HyperLogLog in the format in which Redis keeps one in a string: 16 bytes of
//! header, then 16,384 registers.
//!
//! The header is `HYLL`, how the registers stand (0 dense, 1 sparse), three
//! bytes without a meaning, and the last count in eight bytes, the lowest
//! first, whose highest bit says that it no longer holds. Dense registers have
//! six bits each. Sparse ones stand in runs: `00nnnnnn` tells n + 1 zeros,
//! `01nnnnnn nnnnnnnn` as well, `1vvvvvnn` n + 1 registers of the value v + 1.
//!
//! Who can store a string can forge one of these, so nothing here trusts what
//! it reads: runs that do not make up all registers are [`Corrupted`].

/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// So many bits of a hash choose the register; the others make its value.
const INDEX_BITS: u32 = 14;
/// The highest value that a hash makes.
const VALUE_MAX: usize = 64 - INDEX_BITS as usize + 1;
/// How many values six bits can tell, more than there should be.
const VALUES: usize = 64;

const HEADER: usize = 16;
const DENSE_BYTES: usize = REGISTERS / 4 * 3;
/// A run takes two bytes at the most, and tells one register at least.
const SPARSE_BYTES_MAX: usize = REGISTERS * 2;

const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// An empty one.
const EMPTY: [u8; HEADER + 2] = *b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff";

/// The highest value of a run, and the most registers that one tells.
const RUN_VALUE_MAX: u8 = 32;
const RUN_MAX: usize = 4;
/// The most zeros that one byte tells.
const ZEROS_MAX: usize = 64;

/// The values of all registers, a byte each.
pub type Registers = [u8; REGISTERS];

/// Sparse registers that are not all there, or too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupted;

/// The register that an element belongs to, and the value that it asks for:
/// how long the rest of its hash begins with zeros, and one.
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let index = hash as usize % REGISTERS;
    let rest = (hash >> INDEX_BITS) | (1 << (VALUE_MAX - 1));
    (index, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A with Redis's seed.
fn murmur(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xadc8_3b19;
    let mixed = |hash: u64| hash ^ (hash >> 47);
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks();
    for &word in words {
        let word = mixed(u64::from_le_bytes(word).wrapping_mul(FACTOR));
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    mixed(mixed(hash).wrapping_mul(FACTOR))
}

/// A string with the header of a HyperLogLog.
#[derive(Clone, Copy)]
pub struct Sketch<'a> {
    header: &'a [u8; HEADER],
    registers: Stored<'a>,
}

/// The registers as they stand in the string.
#[derive(Clone, Copy)]
enum Stored<'a> {
    Dense(&'a [u8; DENSE_BYTES]),
    Sparse(&'a [u8]),
}

impl<'a> Sketch<'a> {
    /// The string, if it begins as one and, dense, has the one right length.
    pub fn parse(string: &'a [u8]) -> Option<Sketch<'a>> {
        let (header, registers) = string.split_first_chunk::<HEADER>()?;
        let registers = match header.strip_prefix(MAGIC)? {
            [DENSE, ..] => Stored::Dense(registers.try_into().ok()?),
            [SPARSE, ..] => Stored::Sparse(registers),
            _ => return None,
        };
        Some(Sketch { header, registers })
    }

    /// Whether its registers are dense.
    pub fn is_dense(self) -> bool {
        matches!(self.registers, Stored::Dense(_))
    }

    /// The last count, if it still holds.
    pub fn last_count(self) -> Option<u64> {
        let [.., c0, c1, c2, c3, c4, c5, c6, c7] = *self.header;
        let count = u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
        i64::try_from(count).is_ok().then_some(count)
    }

    /// About how many elements have been added.
    pub fn count(self) -> Result<u64, Corrupted> {
        match self.registers {
            Stored::Dense(dense) => {
                let mut histogram = Histogram::default();
                for &packed in dense.as_chunks().0 {
                    histogram.add(unpack(packed));
                }
                Ok(estimate(&histogram.total()))
            }
            Stored::Sparse(sparse) => {
                let mut histogram = [0; VALUES];
                each_run(sparse, |_, run| {
                    histogram[run.value as usize] += run.len as u32
                })?;
                Ok(estimate(&histogram))
            }
        }
    }

    /// Raises each register to the one here, where that is higher. What is
    /// corrupted may have raised some.
    pub fn merge_into(self, registers: &mut Registers) -> Result<(), Corrupted> {
        match self.registers {
            Stored::Dense(dense) => {
                let (packed, registers) = (dense.as_chunks().0, registers.as_chunks_mut::<8>().0);
                for (&packed, registers) in packed.iter().zip(registers) {
                    let here = unpack(packed);
                    for (to, from) in registers.iter_mut().zip(here) {
                        *to = from.max(*to);
                    }
                }
                Ok(())
            }
            Stored::Sparse(sparse) => each_run(sparse, |first, run| {
                if run.value > 0 {
                    let registers = &mut registers[first..first + run.len];
                    registers.iter_mut().for_each(|to| *to = run.value.max(*to));
                }
            }),
        }
    }

    /// The values of all registers.
    pub fn registers(self) -> Result<Registers, Corrupted> {
        let mut registers = [0; REGISTERS];
        self.merge_into(&mut registers)?;
        Ok(registers)
    }

    /// The string with dense registers.
    pub fn to_dense(self) -> Result<Vec<u8>, Corrupted> {
        Ok(dense(self.header, &self.registers()?))
    }

    /// The runs of sparse registers as people read them, `Z:` for zeros of
    /// two bytes; `None` of dense ones.
    pub fn runs(self) -> Result<Option<String>, Corrupted> {
        let Stored::Sparse(mut rest) = self.registers else {
            return Ok(None);
        };
        check_len(rest)?;
        let mut shown = Vec::new();
        while let Some(Run { value, len, width }) = Run::at(rest, 0) {
            shown.push(match (value, width) {
                (0, 1) => format!("z:{len}"),
                (0, _) => format!("Z:{len}"),
                _ => format!("v:{value},{len}"),
            });
            rest = &rest[width..];
        }
        Ok(Some(shown.join(" ")))
    }

    /// A copy to be changed, which is sparse up to `sparse_max` bytes.
    pub fn draft(self, sparse_max: usize) -> Result<Draft, Corrupted> {
        let registers = match self.registers {
            Stored::Dense(dense) => &dense[..],
            Stored::Sparse(sparse) => check_len(sparse)?,
        };
        Ok(Draft::new([self.header, registers].concat(), sparse_max))
    }
}

/// The bytes of sparse registers, unless they are too many to be right.
fn check_len(sparse: &[u8]) -> Result<&[u8], Corrupted> {
    match sparse.len() {
        ..=SPARSE_BYTES_MAX => Ok(sparse),
        _ => Err(Corrupted),
    }
}

/// About how many elements have been added to all whose registers were merged.
pub fn count(registers: &Registers) -> u64 {
    let mut histogram = Histogram::default();
    for &registers in registers.as_chunks().0 {
        histogram.add(registers);
    }
    estimate(&histogram.total())
}

/// How many registers have each value, in several columns: neighbours often
/// have the same, and to count it again has to wait for the last time, unless
/// it is counted elsewhere.
struct Histogram([[u32; VALUES]; 8]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([[0; VALUES]; 8])
    }
}

impl Histogram {
    fn add(&mut self, registers: [u8; 8]) {
        // Where there are few elements, there is hardly anything but zeros.
        if registers == [0; 8] {
            self.0[0][0] += 8;
            return;
        }
        for (column, value) in self.0.iter_mut().zip(registers) {
            column[value as usize % VALUES] += 1;
        }
    }

    fn total(&self) -> [u32; VALUES] {
        std::array::from_fn(|value| self.0.iter().map(|column| column[value]).sum())
    }
}

/// Ertl's estimate ("New cardinality estimation algorithms for HyperLogLog
/// sketches", 2017), in the order in which Redis computes it, so that it is
/// rounded alike.
fn estimate(histogram: &[u32; VALUES]) -> u64 {
    /// 1 / (2 ln 2)
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let part = |value: usize| f64::from(histogram[value]);
    let mut z = m * tau((m - part(VALUE_MAX)) / m);
    for value in (1..VALUE_MAX).rev() {
        z = (z + part(value)) * 0.5;
    }
    z += m * sigma(part(0) / m);
    let count = (ALPHA * m * m / z).round();
    // Only forged registers make as much; Redis's conversion has this for it.
    if count < -(i64::MIN as f64) {
        count as u64
    } else {
        i64::MIN as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Eight dense registers.
fn unpack(packed: [u8; 6]) -> [u8; 8] {
    let [p0, p1, p2, p3, p4, p5] = packed;
    // Twice 24 bits, then four times 12, then eight times 6.
    let pairs = u64::from_le_bytes([p0, p1, p2, 0, p3, p4, p5, 0]);
    let twelves = (pairs & 0x0fff_0000_0fff) | ((pairs << 4) & 0x0fff_0000_0fff_0000);
    let sixes = (twelves & 0x003f_003f_003f_003f) | ((twelves << 2) & 0x3f00_3f00_3f00_3f00);
    sixes.to_le_bytes()
}

/// A string with these registers, dense, and the header of another.
fn dense(header: &[u8; HEADER], registers: &Registers) -> Vec<u8> {
    let mut string = Vec::with_capacity(HEADER + DENSE_BYTES);
    string.extend_from_slice(header);
    string[MAGIC.len()] = DENSE;
    for &[a, b, c, d] in registers.as_chunks().0 {
        let four = [a, b, c, d].map(|value| u32::from(value) % VALUES as u32);
        let packed = four[0] | (four[1] << 6) | (four[2] << 12) | (four[3] << 18);
        string.extend_from_slice(&packed.to_le_bytes()[..3]);
    }
    string
}

/// Raises a register of a string whose registers are dense; answers whether
/// it was lower.
pub fn raise_dense(string: &mut [u8], index: usize, value: u8) -> bool {
    let (at, shift) = (HEADER + index / 4 * 3, index % 4 * 6);
    let Some(packed) = string.get_mut(at..at + 3) else {
        return false;
    };
    let four = u32::from_le_bytes([packed[0], packed[1], packed[2], 0]);
    let rises = (four >> shift) % (VALUES as u32) < u32::from(value);
    if rises {
        let four = (four & !(0x3f << shift)) | (u32::from(value) << shift);
        packed.copy_from_slice(&four.to_le_bytes()[..3]);
    }
    rises
}

/// Writes the count into the header of a string.
pub fn write_count(string: &mut [u8], count: u64) {
    if let Some((header, _)) = string.split_first_chunk_mut::<HEADER>() {
        header[HEADER - 8..].copy_from_slice(&count.to_le_bytes());
    }
}

/// Notes in the header of a string that the count no longer holds.
pub fn forget_count(string: &mut [u8]) {
    if let Some(last) = string.get_mut(HEADER - 1) {
        *last |= 0x80;
    }
}

/// Registers next to each other that have the same value.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    len: usize,
    /// In how many bytes that is told.
    width: usize,
}

impl Run {
    /// The one that begins at a byte, if it is whole.
    #[inline]
    fn at(bytes: &[u8], at: usize) -> Option<Run> {
        let byte = *bytes.get(at)?;
        let (value, len, width) = match byte {
            0x80.. => ((byte >> 2 & 0x1f) + 1, usize::from(byte & 3), 1),
            ..0x40 => (0, usize::from(byte), 1),
            _ => {
                let both = [byte & 0x3f, *bytes.get(at + 1)?];
                (0, usize::from(u16::from_be_bytes(both)), 2)
            }
        };
        let len = len + 1;
        Some(Run { value, len, width })
    }
}

/// How many registers eight runs tell, if each takes a byte.
fn registers_of(runs: [u8; 8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const LANES: u64 = 0x00ff_00ff_00ff_00ff;
    let runs = u64::from_le_bytes(runs);
    let values = runs >> 7 & EACH;
    if runs >> 6 & EACH & !values != 0 {
        return None;
    }
    // Six bits of zeros, two bits of values.
    let lens = runs & (0x3f * EACH) & !(values * 0x3c);
    let pairs = (lens & LANES) + (lens >> 8 & LANES);
    let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
    Some(sum as usize + 8)
}

/// Goes through the runs of sparse registers, each with its first register, if
/// together they are all registers.
fn each_run(sparse: &[u8], mut each: impl FnMut(usize, Run)) -> Result<(), Corrupted> {
    let (mut at, mut first) = (0, 0);
    while first < REGISTERS {
        let run = Run::at(sparse, at).ok_or(Corrupted)?;
        if first + run.len > REGISTERS {
            return Err(Corrupted);
        }
        each(first, run);
        at += run.width;
        first += run.len;
    }
    if at < sparse.len() {
        return Err(Corrupted);
    }
    Ok(())
}

/// How runs are written: a few, which stand for one.
#[derive(Default)]
struct Runs {
    bytes: [u8; 5],
    len: usize,
}

impl Runs {
    fn push(&mut self, value: u8, len: usize) {
        let bytes = &mut self.bytes[self.len..];
        self.len += match (value, len) {
            (_, 0) => 0,
            (0, 1..=ZEROS_MAX) => {
                bytes[0] = len as u8 - 1;
                1
            }
            (0, _) => {
                bytes[..2].copy_from_slice(&(0x4000 | (len - 1) as u16).to_be_bytes());
                2
            }
            _ => {
                bytes[0] = run_byte(value, len);
                1
            }
        };
    }
}

/// A run of a value that is not 0.
fn run_byte(value: u8, len: usize) -> u8 {
    0x80 | ((value - 1) << 2) | (len as u8 - 1)
}

/// A HyperLogLog that is being changed.
pub struct Draft {
    string: Vec<u8>,
    sparse_max: usize,
    /// Where the search for a run begins, unless it is before it.
    from: RunAt,
}

/// Where a run stands in the string, and its first register.
#[derive(Clone, Copy)]
struct RunAt {
    at: usize,
    first: usize,
}

impl RunAt {
    const START: RunAt = RunAt {
        at: HEADER,
        first: 0,
    };
}

/// The run that has a register, and the one before it; of the first that is it
/// itself.
struct Found {
    run: Run,
    place: RunAt,
    last: RunAt,
}

impl Draft {
    /// An empty one, sparse up to `sparse_max` bytes.
    pub fn empty(sparse_max: usize) -> Draft {
        Draft::new(EMPTY.to_vec(), sparse_max)
    }

    fn new(string: Vec<u8>, sparse_max: usize) -> Draft {
        Draft {
            string,
            sparse_max,
            from: RunAt::START,
        }
    }

    /// The string.
    pub fn into_string(self) -> Vec<u8> {
        self.string
    }

    /// Makes it dense, with these registers.
    pub fn fill(&mut self, registers: &Registers) {
        if let Some((header, _)) = self.string.split_first_chunk() {
            self.string = dense(header, registers);
        }
    }

    /// Notes that the count no longer holds.
    pub fn forget_count(&mut self) {
        forget_count(&mut self.string);
    }

    /// Raises a register to a value that is not 0; answers whether it was
    /// lower.
    ///
    /// The runs become what they become in Redis, which does not choose the
    /// fewest: it splits the run that has the register, and then puts runs of
    /// the same value together, five of them from the one before. In
    /// ascending order registers are found without going through all runs.
    pub fn raise(&mut self, index: usize, value: u8) -> Result<bool, Corrupted> {
        if self.string.get(MAGIC.len()) == Some(&DENSE) {
            return Ok(raise_dense(&mut self.string, index, value));
        }
        if value > RUN_VALUE_MAX {
            return self.raise_in_dense(index, value);
        }
        let Found { run, place, last } = self.find(index)?;
        // Whatever becomes of the runs from there on, one begins there.
        self.from = last;
        if run.value >= value {
            return Ok(false);
        }
        let mut runs = Runs::default();
        runs.push(run.value, index - place.first);
        runs.push(value, 1);
        runs.push(run.value, place.first + run.len - 1 - index);
        if runs.len > run.width && self.string.len() + runs.len - run.width > self.sparse_max {
            return self.raise_in_dense(index, value);
        }
        let new = runs.bytes[..runs.len].iter().copied();
        self.string.splice(place.at..place.at + run.width, new);
        self.join(last.at);
        Ok(true)
    }

    /// Puts runs of the same value together, of five from `at` on.
    fn join(&mut self, mut at: usize) {
        for _ in 0..5 {
            let Some(run) = Run::at(&self.string, at) else {
                return;
            };
            let next = Run::at(&self.string, at + run.width);
            match next.filter(|next| run.value > 0 && next.value == run.value) {
                Some(next) if run.len + next.len <= RUN_MAX => {
                    self.string[at + 1] = run_byte(run.value, run.len + next.len);
                    self.string.remove(at);
                }
                _ => at += run.width,
            }
        }
    }

    fn find(&self, index: usize) -> Result<Found, Corrupted> {
        let read = |place: RunAt| Run::at(&self.string, place.at).ok_or(Corrupted);
        let mut place = self.from;
        // Of the run it begins with, the one before is not known.
        if index < place.first + read(place)?.len {
            place = RunAt::START;
        }
        let mut last = place;
        loop {
            let run = read(place)?;
            if index < place.first + run.len {
                return Ok(Found { run, place, last });
            }
            last = place;
            place.at += run.width;
            place.first += run.len;
            // Mostly it is far behind, and eight runs are passed at once.
            let near = place.at;
            while let Some(eight) = self.string[place.at..].first_chunk()
                && let Some(len) = registers_of(*eight)
                && place.first + len <= index
            {
                place.at += eight.len();
                place.first += len;
            }
            if place.at > near {
                let at = place.at - 1;
                let run = Run::at(&self.string, at).ok_or(Corrupted)?;
                let first = place.first - run.len;
                last = RunAt { at, first };
            }
        }
    }

    /// Becomes dense, and raises a register that is lower.
    fn raise_in_dense(&mut self, index: usize, value: u8) -> Result<bool, Corrupted> {
        let sketch = Sketch::parse(&self.string).ok_or(Corrupted)?;
        self.string = sketch.to_dense()?;
        Ok(raise_dense(&mut self.string, index, value))
    }
}

/// Whether registers keep what they are given, and sparse and dense ones tell
/// the same count, which is about right. It takes some milliseconds.
pub fn works() -> bool {
    const ELEMENTS: u64 = 100_000;
    let mut registers = [0; REGISTERS];
    let mut packed = dense(&[0; HEADER], &registers);
    for (index, value) in registers.iter_mut().enumerate() {
        *value = murmur(&index.to_le_bytes()) as u8 % VALUES as u8;
        raise_dense(&mut packed, index, *value);
    }
    let kept = packed == dense(&[0; HEADER], &registers);
    let mut sketches = [Draft::empty(3000), Draft::empty(3000)];
    sketches[1].fill(&[0; REGISTERS]);
    let mut checkpoint = 1;
    kept && (1..=ELEMENTS).all(|element| {
        let (index, value) = place(&element.to_le_bytes());
        let raised = sketches.each_mut().map(|draft| draft.raise(index, value));
        if element < checkpoint {
            return raised[0] == raised[1];
        }
        checkpoint *= 10;
        let count = |draft: &Draft| Sketch::parse(&draft.string)?.count().ok();
        let counts = sketches.each_ref().map(count);
        // Six times the error that is to be expected.
        let error = 6.0 * 1.04 / (REGISTERS as f64).sqrt() * element as f64;
        let about = |count: u64| count.abs_diff(element) <= error.ceil() as u64;
        counts[0] == counts[1] && counts[0].is_some_and(about)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(draft: &Draft) -> Sketch<'_> {
        Sketch::parse(&draft.string).expect("a draft is one")
    }

    /// Raises of registers: few neighbouring ones with few values, so that runs
    /// meet, or any.
    fn raises() -> impl Strategy<Value = Vec<(usize, u8)>> {
        let near = prop::collection::vec((100..160_usize, 1..4_u8), 0..300);
        let far = prop::collection::vec((0..REGISTERS, 1..40_u8), 0..300);
        prop_oneof![near, far]
    }

    proptest! {
        #[test]
        fn sparse_and_dense_registers_tell_the_same(raises in raises(), sparse_max in 0..400_usize) {
            let mut model = [0; REGISTERS];
            let mut drafts = [Draft::empty(sparse_max), Draft::empty(sparse_max)];
            drafts[1].fill(&model);
            for (index, value) in raises {
                let rises = value > model[index];
                model[index] = value.max(model[index]);
                for draft in &mut drafts {
                    prop_assert_eq!(draft.raise(index, value), Ok(rises));
                }
            }
            for draft in &drafts {
                prop_assert!(sketch(draft).is_dense() || draft.string.len() <= sparse_max.max(18));
                prop_assert_eq!(sketch(draft).registers(), Ok(model));
                prop_assert_eq!(sketch(draft).count(), Ok(count(&model)));
                prop_assert_eq!(sketch(draft).to_dense(), Ok(drafts[1].string.clone()));
            }
        }

        #[test]
        fn registers_are_found_from_anywhere_in_the_same_way(mut raises in raises(), ascending: bool) {
            if ascending {
                raises.sort_unstable();
            }
            let mut drafts = [Draft::empty(2000), Draft::empty(2000)];
            for (index, value) in raises {
                drafts[1].from = RunAt::START;
                let [raised, expected] = drafts.each_mut().map(|draft| draft.raise(index, value));
                prop_assert_eq!(raised, expected);
                prop_assert_eq!(&drafts[0].string, &drafts[1].string);
            }
        }

        #[test]
        fn whatever_is_stored_is_told_or_refused(
            encoding in 0..3_u8,
            runs in prop::collection::vec(any::<u8>(), 0..80),
            gap in 0..REGISTERS as u16,
            index in 0..REGISTERS,
            value in 1..52_u8,
        ) {
            // With the gap there is a chance that it comes out right.
            let gap = (0x4000 | gap).to_be_bytes();
            let string = [b"HYLL", &[encoding; 12][..], &runs, &gap].concat();
            let Some(sketch) = Sketch::parse(&string) else {
                prop_assert_ne!(encoding, SPARSE);
                return Ok(());
            };
            let registers = sketch.registers();
            prop_assert_eq!(sketch.count().is_ok(), registers.is_ok());
            let mut draft = sketch.draft(3000).unwrap();
            let raised = draft.raise(index, value);
            if let Ok(mut registers) = registers {
                prop_assert_eq!(raised, Ok(registers[index] < value));
                registers[index] = value.max(registers[index]);
                let after = Sketch::parse(&draft.string).unwrap().registers();
                prop_assert_eq!(after, Ok(registers));
            }
        }
    }

    #[test]
    fn runs_are_corrupted_unless_they_are_all_registers() {
        let all = [0x7f, 0xff];
        for (runs, is_right) in [
            (&all[..], true),
            (&[], false),
            (&[0x7f], false),
            (&[0x7f, 0xfe], false),
            (&[0x7f, 0xfe, 0], true),
            (&[0x7f, 0xfe, 0x80], true),
            (&[0x7f, 0xfe, 0x83], false),
            (&[0x7f, 0xff, 0], false),
            (&[0x7f, 0xff, 0x40], false),
            (&[0x40, 0, 0x7f, 0xfe], true),
        ] {
            let string = [&EMPTY[..HEADER], runs].concat();
            let sketch = Sketch::parse(&string).unwrap();
            assert_eq!(sketch.registers().is_ok(), is_right, "{runs:x?}");
            assert_eq!(sketch.count().is_ok(), is_right, "{runs:x?}");
            assert_eq!(sketch.to_dense().is_ok(), is_right, "{runs:x?}");
        }
        let long = [&EMPTY[..HEADER], &[0; SPARSE_BYTES_MAX + 1]].concat();
        let sketch = Sketch::parse(&long).unwrap();
        assert_eq!(sketch.draft(usize::MAX).err(), Some(Corrupted));
        assert_eq!(sketch.runs(), Err(Corrupted));
    }

    #[test]
    fn a_string_begins_as_one_or_is_none() {
        let mut draft = Draft::empty(3000);
        draft.fill(&[0; REGISTERS]);
        let dense = draft.string;
        assert!(Sketch::parse(&dense).is_some_and(Sketch::is_dense));
        assert!(Sketch::parse(&EMPTY).is_some_and(|sketch| !sketch.is_dense()));
        let other = |string: &[u8], at: usize, byte| {
            let mut string = string.to_vec();
            string[at] = byte;
            string
        };
        for string in [
            &b""[..],
            b"HYLL",
            &EMPTY[..HEADER - 1],
            &dense[..dense.len() - 1],
            &[&dense[..], &[0]].concat(),
            &other(&EMPTY, 0, b'h'),
            &other(&EMPTY, MAGIC.len(), DENSE),
            &other(&EMPTY, MAGIC.len(), 2),
            &other(&dense, MAGIC.len(), 255),
        ] {
            assert!(Sketch::parse(string).is_none(), "{string:x?}");
        }
    }

    #[test]
    fn the_count_holds_until_it_is_forgotten() {
        let mut string = EMPTY;
        assert_eq!(Sketch::parse(&string).unwrap().last_count(), Some(0));
        write_count(&mut string, 0x1234_5678);
        assert_eq!(&string[8..16], b"\x78\x56\x34\x12\0\0\0\0");
        assert_eq!(
            Sketch::parse(&string).unwrap().last_count(),
            Some(0x1234_5678)
        );
        forget_count(&mut string);
        assert_eq!(Sketch::parse(&string).unwrap().last_count(), None);
    }

    #[test]
    fn registers_count_as_they_do_in_redis_even_if_they_are_forged() {
        for (value, counted) in [
            (0, 0),
            (1, 23_637),
            (3, 94_548),
            (44, 207_914_267_153_817_536),
            (49, 6_653_256_548_922_161_152),
            (50, i64::MIN),
            (51, i64::MIN),
            (63, i64::MIN),
        ] {
            let count = count(&[value; REGISTERS]);
            assert_eq!(count as i64, counted, "{value}");
        }
    }

    #[test]
    fn it_works() {
        assert!(works());
    }
}
