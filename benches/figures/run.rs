//! A child process from start to end: how long it took, what CPU time, and how much memory at its peak.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// No child is waited for longer: a figure that takes that long is given up, and said so.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often a child's peak is looked at. The kernel keeps the highest, so that only what it takes in its last moment is missed.
const LOOK: Duration = Duration::from_millis(3);

/// What a child, or several one after another, cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// From start to end.
    pub wall: Duration,
    /// User and system time of it and of its children, to 10 ms.
    pub cpu: Duration,
    /// Resident bytes at its peak, without its children's.
    pub peak: u64,
}

impl Cost {
    /// This one, and then the other.
    pub fn then(self, next: Cost) -> Cost {
        Cost {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            peak: self.peak.max(next.peak),
        }
    }
}

/// Runs a command to its end. What it says goes into `said`; its exit code must be among `codes`.
pub fn run(command: &mut Command, codes: &[i32], said: &Path) -> Result<Cost> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = File::create(said).with_context(|| format!("making {}", said.display()))?;
    command.stdin(Stdio::null()).stderr(file.try_clone()?);
    // What was written before is not to be written back at this one's expense.
    rustix::fs::sync();
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
    let pid = Pid::from_child(&child);
    let (ended, end) = mpsc::channel();
    let (wall, peak) = thread::scope(|scope| {
        let watch = scope.spawn(move || watch(pid, &end));
        // Not reaped yet: /proc still has its times.
        let waited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = began.elapsed();
        drop(ended);
        let peak = watch.join().expect("the watch does not panic");
        waited.map(|_| (wall, peak))
    })?;
    let cpu = cpu(pid).with_context(|| format!("reading the times of {name}"))?;
    let status = child.wait()?;
    ensure!(
        wall < PATIENCE,
        "{name} took more than {} s, and was ended",
        PATIENCE.as_secs()
    );
    if !status.code().is_some_and(|code| codes.contains(&code)) {
        let said = fs::read_to_string(said).unwrap_or_default();
        let last = said.trim_end().lines().last().unwrap_or("it said nothing").to_string();
        bail!("{name}: {status}: {last}");
    }
    Ok(Cost { wall, cpu, peak })
}

/// Does something on one core, in which every child that it starts stays as well.
pub fn on_one_core<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // A thread of its own: the others keep the cores they have.
    let pinned = || {
        let allowed = sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
        let mut one = CpuSet::new();
        one.set(first.context("a thread without a core")?);
        sched_setaffinity(None, &one).context("pinning to one core")?;
        work()
    };
    thread::scope(|scope| scope.spawn(pinned).join().expect("work does not panic"))
}

/// Looks at the peak until the child has ended; ends it when patience does.
fn watch(pid: Pid, end: &mpsc::Receiver<()>) -> u64 {
    let began = Instant::now();
    let mut peak = 0;
    loop {
        peak = peak.max(high_water(pid).unwrap_or(0));
        match end.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) if began.elapsed() > PATIENCE => {
                // Gone meanwhile is fine.
                kill_process(pid, Signal::KILL).ok();
            }
            Err(RecvTimeoutError::Timeout) => {}
            _ => return peak,
        }
    }
}

/// `VmHWM`, in bytes. Not `ru_maxrss`, which begins with what the parent had when it forked.
fn high_water(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// User and system time of a process that has ended and was not reaped, and of its children.
fn cpu(pid: Pid) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    // The second field is the program's name, which may hold blanks and brackets; the times are fields 14 to 17.
    let (_, fields) = stat.rsplit_once(')').context("/proc has no such form")?;
    let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32)
}
