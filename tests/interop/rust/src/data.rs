//! What is published: the bytes, the timestamps and the tracks, and the check of what arrived.

use std::time::Duration;

use moq_net::{Timescale, Timestamp, broadcast, group, origin, track};

use crate::options::{Result, fail};

pub const ROOM_A: &str = "room/a";
pub const ROOM_B: &str = "room/b";

/// The last group of `sizes`.
pub const SIZES: [usize; 8] = [0, 1, 63, 64, 16383, 16384, 65536, 1048576];

pub fn payload(group: u64, frame: usize, size: usize) -> Vec<u8> {
    let first = group.wrapping_mul(31).wrapping_add(frame as u64 * 17);
    (0..size as u64)
        .map(|i| (first + i * 7 + (i >> 8) * 13) as u8)
        .collect()
}

pub fn timestamp(group: u64, frame: usize) -> Timestamp {
    Timestamp::new(group * 1000 + frame as u64 * 40, Timescale::MILLI).expect("a small number")
}

/// The largest number of groups a track may fall behind by, as the reference measures age in media time and a group
/// lasts a second of it. 10 s is what the scenarios ask for; those with many groups need more, or groups would expire.
pub fn max_age(scenario: &str) -> Duration {
    match scenario {
        "many-groups" | "priority-update" | "datagrams" | "stop" | "unsubscribe" => Duration::from_secs(3600),
        _ => Duration::from_secs(10),
    }
}

/// A broadcast with its tracks, announced.
pub fn offer(
    origin: &origin::Producer,
    path: &str,
    names: &[&str],
    max_age: Duration,
) -> Result<(broadcast::Producer, Vec<track::Producer>)> {
    let broadcast = origin.create_broadcast(path)?;
    let info = track::Info::default()
        .with_timescale(Timescale::MILLI)
        .with_max_age(max_age)
        .with_priority(0);
    let tracks = names
        .iter()
        .map(|&name| broadcast.create_track(name, info.clone()))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    broadcast.announce(Default::default())?;
    Ok((broadcast, tracks))
}

/// Writes one whole group.
pub fn write_group(track: &track::Producer, sequence: u64, sizes: &[usize]) -> Result<()> {
    let mut group = track.create_group(sequence.into())?;
    for (frame, &size) in sizes.iter().enumerate() {
        group.write_frame(timestamp(sequence, frame), payload(sequence, frame, size))?;
    }
    Ok(group.finish()?)
}

/// Reads one group to its end and compares every frame.
pub async fn read_group(group: &mut group::Consumer, sizes: &[usize], timed: bool) -> Result<()> {
    let sequence = group.sequence;
    for (index, &size) in sizes.iter().enumerate() {
        let Some(frame) = group.read_frame().await? else {
            return fail(format!("group {sequence} ends after {index} frames"));
        };
        check_frame(sequence, index, size, &frame.payload)?;
        if timed && frame.timestamp.as_millis() != timestamp(sequence, index).as_millis() {
            return fail(format!(
                "frame {index} of group {sequence} is stamped {:?}",
                frame.timestamp
            ));
        }
    }
    match group.read_frame().await? {
        None => Ok(()),
        Some(_) => fail(format!("group {sequence} has more than {} frames", sizes.len())),
    }
}

pub fn check_frame(group: u64, frame: usize, size: usize, got: &[u8]) -> Result<()> {
    let want = payload(group, frame, size);
    if got.len() != want.len() {
        return fail(format!(
            "frame {frame} of group {group} has {} bytes, not {size}",
            got.len()
        ));
    }
    match got.iter().zip(&want).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => fail(format!("byte {at} of frame {frame} of group {group} is wrong")),
    }
}

/// The frames of a group, by scenario.
pub fn shape(scenario: &str, sequence: u64) -> &'static [usize] {
    match (scenario, sequence) {
        ("sizes", 0) => &[],
        ("sizes", 1) => &[0],
        ("sizes", _) => &SIZES,
        ("many-groups", _) => &[10],
        ("stop", _) => &[100000; 10],
        _ => &[100; 3],
    }
}
