//! Puts dead letters back on the log. What is wanted is appended again as it was; the others are appended to the dead letters
//! again, behind those not looked at yet, so that one committed offset says what is left.

use super::{
    KafkaLog, letters,
    producer::{Outgoing, busy},
    thread::{DroppedAside, off_runtime},
};
use crate::log::{DeadLetterCode, LogError, NewRecord, Record, Redriven};

/// How many bytes of dead letters one step takes.
const STEP_BYTES: usize = 1 << 20;

impl KafkaLog {
    /// Appends again the dead letters whose code is `wanted`. Ended in the middle and repeated, a letter may be appended twice,
    /// which is harmless; so it is when two processes do it at once.
    pub(in crate::log) async fn redrive(
        &self,
        wanted: impl Fn(DeadLetterCode) -> bool,
        mut progress: impl FnMut(Redriven),
    ) -> Result<Redriven, LogError> {
        let _redriving = self.0.redriving.lock().await;
        let reading = self.letters();
        let reader = off_runtime("kafka-redrive", move || {
            reading.begin_uncommitted().map(DroppedAside::new)
        });
        let mut reader = reader.await?.map_err(|cause| busy(&cause))?;
        let mut done = Redriven::default();
        loop {
            let step = off_runtime("kafka-redrive", move || {
                let read =
                    reader.get_mut().map_or(Ok(Vec::new()), |reader| reader.read(STEP_BYTES));
                (read, reader)
            });
            let (read, returned) = step.await?;
            let records = read.map_err(|cause| busy(&cause))?;
            if records.is_empty() {
                return Ok(done);
            }
            let (mut back, mut kept) = (Vec::new(), Vec::new());
            for record in records {
                done.looked_at += 1;
                // What is none of ours, or was cut, is no event to be handled: it stays.
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
                let committed =
                    returned.get().map_or(Ok(Default::default()), super::reader::Reader::commit);
                (committed, returned)
            });
            let (committed, returned) = step.await?;
            self.0.letters.committed(&committed.map_err(|cause| busy(&cause))?);
            reader = returned;
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
        for Record { key, value, headers, .. } in kept {
            self.append_letter(Outgoing { key, value, headers })
                .await?
                .map_err(|cause| busy(&cause))?;
        }
        Ok(())
    }
}
