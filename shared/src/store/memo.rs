//! A bounded map of what this process has written, which forgets entries that are no longer used.
//!
//! Forgetting is harmless. It costs a repeated write, or on Cassandra it resets a country's day to
//! its first layout, so that another partition's worth of starts goes to a single partition.
//!
//! Not `quick_cache`: an entry used within the last `room` insertions must stay. With a capacity of
//! 20,000, a new entry of `quick_cache` is gone after about 600 further insertions.

use std::{collections::HashMap, hash::Hash, mem};

use parking_lot::Mutex;

/// A map of at least the last `room` entries that were used, and at most twice as many.
#[derive(Debug)]
pub(super) struct Memo<K, V> {
    room: usize,
    generations: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Clone, V: Copy> Memo<K, V> {
    pub(super) fn new(room: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { room, generations: Mutex::new(generations) }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.generations.lock();
        if let Some(value) = generations.young.get(key) {
            return Some(*value);
        }
        // Removing from an empty map would still hash the key.
        if generations.old.is_empty() {
            return None;
        }
        let (key, value) = generations.old.remove_entry(key)?;
        generations.insert(key, value, self.room);
        Some(value)
    }

    /// Replaces the value of `key` with the result of `change`, and returns it.
    pub(super) fn update(&self, key: &K, change: impl FnOnce(Option<V>) -> V) -> V {
        let mut generations = self.generations.lock();
        if let Some(value) = generations.young.get_mut(key) {
            *value = change(Some(*value));
            return *value;
        }
        let value = change(generations.old.remove(key));
        generations.insert(key.clone(), value, self.room);
        value
    }

    pub(super) fn forget(&self, key: &K) {
        let mut generations = self.generations.lock();
        generations.young.remove(key);
        generations.old.remove(key);
    }
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: V, room: usize) {
        if self.young.len() >= room {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let memo = Memo::new(10);
        memo.update(&0, |_| 7);
        for key in 1..1_000 {
            memo.update(&key, |_| key);
            assert_eq!(memo.get(&0), Some(7));
        }
        assert_eq!(memo.get(&1), None);
        assert_eq!(memo.get(&999), Some(999));
        let generations = memo.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 20);
    }

    #[test]
    fn an_update_sees_what_was_remembered() {
        let memo = Memo::new(1);
        assert_eq!(memo.update(&"a", |before| before.unwrap_or(0) + 1), 1);
        memo.update(&"b", |_| 5);
        assert_eq!(memo.update(&"a", |before| before.unwrap_or(0) + 1), 2, "it was old");
        memo.forget(&"a");
        assert_eq!(memo.get(&"a"), None);
    }
}
