//! What the kernel of the operating system says about this process, read from /proc when somebody
//! asks for the metrics. Elsewhere than on Linux there is nothing to read, and the process metrics
//! stay away.

use std::fs;

/// Clock ticks per second in /proc. A constant of Linux' user interface on every architecture
/// that it still runs on; `sysconf` says the same, at the price of a call into libc.
const TICKS_PER_SECOND: f64 = 100.0;

/// One reading.
pub(super) struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: i64,
    pub open_fds: i64,
    /// Seconds since the Unix epoch.
    pub start_seconds: i64,
}

impl Process {
    /// Reads /proc; `None` where there is none.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = field(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
        let resident = field(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")?;
        let (cpu_seconds, started) = times(&stat)?;
        Some(Self {
            cpu_seconds,
            resident_bytes: resident * 1024,
            open_fds: i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?,
            #[expect(clippy::cast_possible_truncation, reason = "seconds since boot fit")]
            start_seconds: boot + started as i64,
        })
    }
}

/// Seconds of processor time, and seconds from boot to start. The command's name, in brackets,
/// may hold spaces and brackets: what follows the last one is plain columns.
fn times(stat: &str) -> Option<(f64, f64)> {
    let columns: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // Counted from the state, column 3 of proc(5): utime is 14, stime 15, starttime 22.
    let ticks = |column: usize| columns.get(column - 3)?.parse::<f64>().ok();
    Some(((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND, ticks(22)? / TICKS_PER_SECOND))
}

/// The number after `name` in a file of lines.
fn field(text: &str, name: &str) -> Option<i64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_shift_the_columns() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0 4200 99 1";
        assert_eq!(times(stat), Some((2.0, 42.0)));
        assert_eq!(times("nothing"), None);
        assert_eq!(field("btime 17\n", "btime"), Some(17));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let process = Process::read().unwrap();
        assert!(process.resident_bytes > 1 << 20);
        assert!(process.open_fds >= 3);
        let now = crate::clock::now_ms() / 1000;
        assert!((now - 86_400..=now + 2).contains(&process.start_seconds));
    }
}
