use std::fmt;
mod inner;

pub const LIMIT: usize = 10;
static NAME: &str = "shelf";
const _: () = ();

/// A level.
#[derive(Debug, Clone)]
pub enum Level {
    Low,
    High(u8),
}

pub trait Keeper {
    type Item;
    fn get(&self, id: usize) -> Option<&Self::Item>;
}

pub struct Shelf<T> {
    items: Vec<T>,
}

impl<T> Keeper for Shelf<T>
where
    T: Clone, // as it is copied
{
    type Item = T;

    /// Gets.
    #[inline]
    fn get(&self, id: usize) -> Option<&T> {
        match self.items.get(id) {
            Some(found) => Some(found),
            None => None,
        }
    }
}

macro_rules! shelf {
    ($($item:expr),*) => { vec![$($item),*] };
}

pub(crate) async fn total(items: &[u64]) -> u64 {
    fn add(a: u64, b: u64) -> u64 {
        a + b
    }
    items.iter().fold(0, |a, b| add(a, *b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works() {
        assert_eq!(1, 1);
    }
}
