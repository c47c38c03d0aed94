//! What the machine did while something was measured: Linux counts it for all processors together, since the boot.

use anyhow::Context;

/// The counts at one moment, in the kernel's ticks.
pub(crate) struct Machine {
    all: u64,
    idle: u64,
    stolen: u64,
}

/// Shares of the processors' time, in percent.
pub(crate) struct Usage {
    /// In which they worked, for whomever.
    pub(crate) busy: f64,
    /// In which they would have worked, had the host not given them to somebody else.
    pub(crate) stolen: f64,
}

impl Machine {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        // user, nice, system, idle, iowait, irq, softirq, steal; the guests' time behind them is part of the user's.
        let counts: Vec<u64> =
            line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
        let [.., idle, waiting, _, _, stolen] = counts[..] else {
            anyhow::bail!("/proc/stat has {line:?}")
        };
        Ok(Self { all: counts.iter().sum(), idle: idle + waiting, stolen })
    }

    /// What happened since.
    pub(crate) fn since(&self) -> anyhow::Result<Usage> {
        let now = Self::look()?;
        let all = (now.all - self.all).max(1) as f64;
        let share = |ticks: u64| (1_000.0 * ticks as f64 / all).round() / 10.0;
        let (idle, stolen) = (now.idle - self.idle, now.stolen - self.stolen);
        Ok(Usage { busy: share(now.all - self.all - idle - stolen), stolen: share(stolen) })
    }
}
