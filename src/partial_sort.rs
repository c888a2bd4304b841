//! Sorts what is asked for of a slice: the first ten of a million.
//!
//! What is equal comes in the order in which Redis leaves it, which clients see
//! in the answers of SORT and GEOSEARCH. That is the quicksort of Bentley and
//! McIlroy ("Engineering a Sort Function", 1993) as BSD has it, which passes
//! over parts that nobody has asked for. Whoever knows it can make data for
//! which it takes n² steps, so that a part which is cut too often without
//! becoming small is sorted in another way.

use std::cmp::Ordering;
use std::ops::Range;

/// Fewer elements than these are sorted by insertion.
const FEW: usize = 7;

/// Of more than so many, the pivot is a median of medians.
const MANY: usize = 40;

/// Sorts so that at `range` is what would be there if all were sorted.
pub fn sort_part<T>(
    items: &mut [T],
    range: Range<usize>,
    compare: impl Fn(&T, &T) -> Ordering + Copy,
) {
    // Random data are cut half as often.
    let cuts = 4 * items.len().max(1).ilog2();
    sort(items, range, compare, cuts);
}

fn sort<T>(
    mut items: &mut [T],
    mut range: Range<usize>,
    compare: impl Fn(&T, &T) -> Ordering + Copy,
    cuts: u32,
) {
    for cuts in (0..cuts).rev() {
        if items.len() < FEW {
            return insertion_sort(items, compare);
        }
        items.swap(0, pivot(items, compare));
        let (less, greater) = partition(items, compare);
        let len = items.len();
        let (left, right) = items.split_at_mut(len - greater);
        if less > 1 && range.start < less {
            let range = range.start..range.end.min(less);
            sort(&mut left[..less], range, compare, cuts);
        }
        if greater < 2 || range.end <= len - greater {
            return;
        }
        range = range.start.saturating_sub(len - greater)..range.end - (len - greater);
        items = right;
    }
    items.sort_by(compare);
}

fn insertion_sort<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The index of an element that is likely to be in the middle.
fn pivot<T>(items: &[T], compare: impl Fn(&T, &T) -> Ordering) -> usize {
    let middle_of = |a: usize, b: usize, c: usize| {
        let compare = |a: usize, b: usize| compare(&items[a], &items[b]);
        if compare(a, b).is_lt() {
            if compare(b, c).is_lt() {
                b
            } else if compare(a, c).is_lt() {
                c
            } else {
                a
            }
        } else if compare(b, c).is_gt() {
            b
        } else if compare(a, c).is_lt() {
            a
        } else {
            c
        }
    };
    let (first, middle, last) = (0, items.len() / 2, items.len() - 1);
    if items.len() <= FEW {
        return middle;
    }
    if items.len() <= MANY {
        return middle_of(first, middle, last);
    }
    let step = items.len() / 8;
    middle_of(
        middle_of(first, first + step, first + 2 * step),
        middle_of(middle - step, middle, middle + step),
        middle_of(last - 2 * step, last - step, last),
    )
}

/// Parts the elements by the first one: what is less to the front, what is
/// greater to the end. Answers how many these are; what is equal is between.
fn partition<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    // Equals are collected at both ends: before `equal_front`, behind
    // `equal_back`. What is between `front` and `back` has not been looked at.
    let (mut equal_front, mut front) = (1, 1);
    let (mut back, mut equal_back) = (items.len() - 1, items.len() - 1);
    loop {
        while front <= back {
            match compare(&items[front], &items[0]) {
                Ordering::Less => {}
                Ordering::Equal => {
                    items.swap(equal_front, front);
                    equal_front += 1;
                }
                Ordering::Greater => break,
            }
            front += 1;
        }
        while front <= back {
            match compare(&items[back], &items[0]) {
                Ordering::Greater => {}
                Ordering::Equal => {
                    items.swap(back, equal_back);
                    equal_back -= 1;
                }
                Ordering::Less => break,
            }
            back -= 1;
        }
        if front > back {
            break;
        }
        items.swap(front, back);
        front += 1;
        back -= 1;
    }
    // The equals go from the ends to the middle.
    let (less, greater) = (front - equal_front, equal_back - back);
    let moved = equal_front.min(less);
    for at in 0..moved {
        items.swap(at, front - moved + at);
    }
    let end = items.len();
    let moved = greater.min(end - 1 - equal_back);
    for at in 0..moved {
        items.swap(front + at, end - moved + at);
    }
    (less, greater)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_asked_for_is_as_if_all_were_sorted(
            items in proptest::collection::vec(0u8..50, 0..300),
            start in 0usize..300,
            len in 0usize..300,
        ) {
            let start = start.min(items.len());
            let range = start..(start + len).min(items.len());
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let mut part = items;
            sort_part(&mut part, range.clone(), u8::cmp);
            proptest::prop_assert_eq!(&part[range.clone()], &sorted[range]);
            part.sort_unstable();
            proptest::prop_assert_eq!(part, sorted, "an element is lost");
        }
    }

    /// Answers as if elements had an order in which the pivot is always the
    /// least but a few (McIlroy, "A Killer Adversary for Quicksort", 1999).
    #[test]
    fn no_data_take_so_many_steps_as_they_could() {
        use std::cell::{Cell, RefCell};
        const LEN: usize = 20_000;
        const GAS: usize = LEN;
        let values = RefCell::new(vec![GAS; LEN]);
        let (solid, candidate, steps) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let compare = |&a: &usize, &b: &usize| {
            steps.set(steps.get() + 1);
            let mut values = values.borrow_mut();
            if values[a] == GAS && values[b] == GAS {
                let frozen = if a == candidate.get() { a } else { b };
                values[frozen] = solid.replace(solid.get() + 1);
            }
            if values[a] == GAS {
                candidate.set(a);
            } else if values[b] == GAS {
                candidate.set(b);
            }
            values[a].cmp(&values[b])
        };
        let mut items: Vec<usize> = (0..LEN).collect();
        sort_part(&mut items, 0..LEN, compare);
        let steps = steps.get();
        assert!(steps < 100 * LEN, "{steps} comparisons");
    }
}
