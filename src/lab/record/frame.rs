//! What was sent to a client, cut into values as they stand on the wire, even if
//! only the beginning is kept.

use memchr::memmem;

use super::entry::Kept;

/// Values do not nest deeper; what does is not read further.
const DEPTH_MAX: usize = 128;

/// One value.
pub struct Frame<'k> {
    /// Its line, without the end.
    pub header: &'k [u8],
    /// The bytes behind the line, of a string.
    pub payload: &'k [u8],
    /// What is in it; `None` if nothing can be.
    pub children: Option<Vec<Frame<'k>>>,
    /// It goes on behind what is kept.
    pub is_cut: bool,
}

impl<'k> Frame<'k> {
    /// What kind of value it is: the first byte.
    pub fn mark(&self) -> u8 {
        self.header.first().copied().unwrap_or_default()
    }

    /// Whether it says that something has gone wrong.
    pub fn is_error(&self) -> bool {
        matches!(self.mark(), b'-' | b'!')
    }

    /// Whether it says that there is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.header, b"_" | b"$-1" | b"*-1")
    }
}

/// The values, and whether more have been cut off behind them.
pub fn frames(kept: &Kept) -> (Vec<Frame<'_>>, bool) {
    let mut rest = &kept.bytes[..];
    let mut frames = Vec::new();
    while let Some(frame) = take(&mut rest, 0) {
        frames.push(frame);
    }
    let ends_whole = frames.last().is_some_and(|frame| !frame.is_cut) && rest.is_empty();
    (frames, kept.bytes.len() < kept.len || !ends_whole)
}

/// The value at the front, if its line is there.
fn take<'k>(rest: &mut &'k [u8], depth: usize) -> Option<Frame<'k>> {
    let end = memmem::find(rest, b"\r\n")?;
    if depth > DEPTH_MAX {
        return None;
    }
    let header = &rest[..end];
    *rest = &rest[end + 2..];
    let mut frame = Frame {
        header,
        payload: &[],
        children: None,
        is_cut: false,
    };
    let len = std::str::from_utf8(header.get(1..)?).ok();
    let Some(len) = len.and_then(|len| len.parse::<usize>().ok()) else {
        return Some(frame);
    };
    let count = match frame.mark() {
        b'$' | b'=' | b'!' => {
            let there = len.min(rest.len());
            frame.payload = &rest[..there];
            frame.is_cut = rest.len() < len.saturating_add(2);
            *rest = rest.get(len.saturating_add(2)..).unwrap_or_default();
            return Some(frame);
        }
        b'*' | b'~' | b'>' => len,
        b'%' => len.saturating_mul(2),
        // Attributes stand before the value that they belong to.
        b'|' => len.saturating_mul(2).saturating_add(1),
        _ => return Some(frame),
    };
    let mut children = Vec::new();
    while children.len() < count && !frame.is_cut {
        match take(rest, depth + 1) {
            Some(child) => {
                frame.is_cut = child.is_cut;
                children.push(child);
            }
            None => frame.is_cut = true,
        }
    }
    frame.children = Some(children);
    Some(frame)
}
