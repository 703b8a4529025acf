//! What the kernel tells of processes that are not ours to hold: those that Doorward started, and what they cost.

use rustix::process::{Pid, Signal};

/// The processes that a process started and that have not ended.
pub fn children_of(parent: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").expect("Linux has it").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let fields = status_fields(*pid);
            let is_ended = fields.first().is_some_and(|state| state == "Z");
            !is_ended
                && fields
                    .get(1)
                    .is_some_and(|found| *found == parent.to_string())
        })
        .collect()
}

/// The processor time that a process has taken so far, in ticks of a hundredth of a second.
pub fn processor_ticks(pid: u32) -> u64 {
    let fields = status_fields(pid);
    let spent = |place: usize| {
        fields
            .get(place)
            .and_then(|text| text.parse::<u64>().ok())
            .expect("the process runs")
    };
    spent(11) + spent(12)
}

/// How many bytes of a process are in memory.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.expect("it has memory") * 1024
}

/// Sends a signal to a process; one that has ended is past hearing it.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _sent = pid.map(|pid| rustix::process::kill_process(pid, signal));
}

/// `/proc/PID/stat` from the state on. The name before it may hold anything but is closed by the last parenthesis.
fn status_fields(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split_whitespace().map(str::to_owned).collect()
}
