//! The places of a store, and the state in which a crash leaves them.

use super::*;

/// The place of a store.
pub(super) enum Home {
    Dir(TempDir),
    /// Rows do not expire during a test: the margin exceeds all of its times.
    Keyspace(Box<CassandraOptions>),
}

impl Home {
    pub(super) fn dir() -> Self {
        Self::Dir(TempDir::new().unwrap())
    }

    pub(super) async fn keyspace() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let options = CassandraOptions {
            nodes: vec![stack::Stack::shared_plain().cassandra_nodes().to_owned()],
            // The stack may still hold the keyspaces of an earlier run.
            keyspace: format!(
                "pairing_{}_{}_{number}",
                Clock::machine().now().millis(),
                std::process::id()
            ),
            margin_ms: 10 * RETENTION,
            // Small enough for the layout of a day to change now and then.
            starts_per_partition: 3,
            ..CassandraOptions::default()
        };
        setup(&options, &"1".parse().unwrap()).await.unwrap();
        Self::Keyspace(options.into())
    }

    pub(super) async fn open(&self) -> Option<Store> {
        Some(match self {
            Self::Dir(dir) => {
                let options = EmbeddedStoreOptions {
                    cache_bytes: 1 << 20,
                    write_buffer_bytes: 8 << 20,
                    reserve_bytes: 0,
                };
                Store::Embedded(EmbeddedStore::open(dir.path(), options).unwrap())
            }
            Self::Keyspace(options) => {
                Store::Cassandra(CassandraStore::open((**options).clone()).await.unwrap().into())
            }
        })
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            copy_file(&entry.path(), &target);
        }
    }
}

/// The engine reserves tens of mebibytes for its journal, mostly a hole, which is copied as a hole.
pub(super) fn copy_file(from: &Path, to: &Path) {
    let (mut source, mut target) = (File::open(from).unwrap(), File::create(to).unwrap());
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = source.read(&mut chunk).unwrap();
        if read == 0 || (read == chunk.len() && chunk.iter().all(|byte| *byte == 0)) {
            break;
        }
        target.write_all(&chunk[..read]).unwrap();
    }
    target.set_len(source.metadata().unwrap().len()).unwrap();
}
