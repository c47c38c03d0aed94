//! Redrives dead letters. Wanted letters are appended to the log as they were. The others are
//! appended to the dead letters again, after those not read yet, so that one committed offset
//! separates the redriven letters from the others.

use super::super::{
    KafkaLog,
    append::{letters, outgoing::Outgoing, producer::Appended},
    consume::reader::Reader,
    thread::{DroppedAside, off_runtime},
};
use crate::log::{DeadLetterCode, LogError, NewRecord, Record, Redriven};

/// The bytes of dead letters that one step reads.
const STEP_BYTES: usize = 1 << 20;

impl KafkaLog {
    /// Appends again the dead letters whose code is `wanted`. If a redrive is interrupted and
    /// repeated, or two run at once, a letter may be appended twice, which is harmless.
    pub(in crate::log) async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        mut progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        let _redriving = self.0.redriving.lock().await;
        let source = self.letters_source();
        let mut reader = off_runtime("kafka-redrive", move || {
            source.read_from_committed().map(DroppedAside::new)
        })
        .await?;
        let mut done = Redriven::default();
        loop {
            let step = off_runtime("kafka-redrive", move || {
                let records =
                    reader.get_mut().map_or(Ok(Vec::new()), |reader| reader.read(STEP_BYTES))?;
                Ok((records, reader))
            });
            let (records, at_step) = step.await?;
            if records.is_empty() {
                return Ok(done);
            }
            let (mut back, mut kept) = (Vec::new(), Vec::new());
            for record in records {
                done.looked_at += 1;
                // Records of other programs and letters that were cut hold no event: they are kept.
                match letters::code(&record)
                    .filter(|code| wanted(*code))
                    .and_then(|_| letters::original(&record))
                {
                    Some(original) => back.push(original),
                    None => kept.push(record),
                }
            }
            self.put_back(back, kept, &mut done).await?;
            let step = off_runtime("kafka-redrive", move || {
                let committed = at_step.get().map_or(Ok(Default::default()), Reader::commit)?;
                Ok((committed, at_step))
            });
            let (committed, at_commit) = step.await?;
            self.0.letters.committed(&committed);
            reader = at_commit;
            progress(done);
        }
    }

    async fn put_back(
        &self,
        back: Vec<NewRecord>,
        kept: Vec<Record>,
        done: &mut Redriven,
    ) -> Result<(), LogError> {
        done.appended += back.len() as u64;
        self.append(back).await?;
        for Record { key, value, headers, latest_ts, .. } in kept {
            let letter = Outgoing { key, value, headers, latest_ts, append_time: None };
            if let Appended::TooLarge = self.append_letter(letter).await? {
                return Err(LogError::Busy("the brokers refuse a dead letter as too large".into()));
            }
        }
        Ok(())
    }
}
