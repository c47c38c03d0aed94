//! The CPU usage of the machine during a measurement, from the counters of Linux.

use anyhow::Context;

/// The counters of all processors since the boot, in ticks of the kernel.
pub(crate) struct Machine {
    all: u64,
    idle: u64,
    stolen: u64,
}

/// Shares of the CPU time of all processors, in percent.
pub(crate) struct Usage {
    /// The time in use.
    pub(crate) busy: f64,
    /// The time that the host gave to other guests.
    pub(crate) stolen: f64,
}

impl Machine {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        // user, nice, system, idle, iowait, irq, softirq, steal. The last two fields are part of
        // user.
        let counts: Vec<u64> =
            line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
        let [.., idle, waiting, _, _, stolen] = counts[..] else {
            anyhow::bail!("/proc/stat has {line:?}")
        };
        Ok(Self { all: counts.iter().sum(), idle: idle + waiting, stolen })
    }

    /// Returns the usage since these counters were read.
    pub(crate) fn since(&self) -> anyhow::Result<Usage> {
        let now = Self::read()?;
        let all = (now.all - self.all).max(1) as f64;
        let share = |ticks: u64| (1_000.0 * ticks as f64 / all).round() / 10.0;
        let (idle, stolen) = (now.idle - self.idle, now.stolen - self.stolen);
        Ok(Usage { busy: share(now.all - self.all - idle - stolen), stolen: share(stolen) })
    }
}
