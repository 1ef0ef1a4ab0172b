//! The publisher's side of every scenario.

use std::time::Duration;

use moq_net::{goaway, track};
use tokio::time::sleep;

use crate::data::{ROOM_A, ROOM_B, max_age, offer, payload, shape, timestamp, write_group};
use crate::link::{Link, Roles};
use crate::options::{Options, Result, report, stage, unsupported};

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Waits until somebody has subscribed to `track`.
pub async fn asked(track: &mut track::Producer) -> Result<()> {
    stage(format!("waiting for a subscriber of {}", track.name()));
    while track.subscription().is_none() {
        track.subscription_changed().await?;
    }
    Ok(())
}

/// Writes `groups` groups and ends the track, without a pause in which the subscriber could leave already.
async fn pace(track: &track::Producer, scenario: &str, groups: u64, gap: Duration) -> Result<()> {
    for sequence in 0..groups {
        if sequence != 0 {
            sleep(gap).await;
        }
        write_group(track, sequence, shape(scenario, sequence))?;
    }
    Ok(track.finish()?)
}

/// Waits for a subscriber, writes `groups` groups and ends the track.
pub async fn feed(track: &mut track::Producer, scenario: &str, groups: u64, gap: Duration) -> Result<()> {
    asked(track).await?;
    stage("writing groups");
    pace(track, scenario, groups, gap).await
}

/// Writes groups until the session ends.
async fn feed_forever(track: &mut track::Producer, scenario: &str) -> Result<()> {
    asked(track).await?;
    for sequence in 0.. {
        write_group(track, sequence, shape(scenario, sequence))?;
        sleep(ms(50)).await;
    }
    Ok(())
}

/// Waits until the subscriber's priority is `priority`.
async fn prioritized(track: &mut track::Producer, priority: u8) -> Result<()> {
    while track.subscription().is_none_or(|now| now.priority != priority) {
        track.subscription_changed().await?;
    }
    Ok(())
}

pub async fn publish(options: &Options) -> Result<()> {
    let scenario = options.scenario.as_str();
    let origin = moq_tokio::origin::spawn();
    let age = max_age(scenario);
    let room = |path: &str, names: &[&str]| offer(&origin, path, names, age);
    let connect = || {
        Link::open(
            options,
            Roles {
                publish: Some(origin.clone()),
                subscribe: None,
            },
        )
    };

    match scenario {
        "announce-discover" => {
            let _rooms = (room(ROOM_A, &["t0"])?, room(ROOM_B, &["t0"])?);
            connect().await?.closed(0).await
        }
        "discover-announce" => {
            let link = connect().await?;
            sleep(ms(300)).await;
            let _rooms = (room(ROOM_A, &["t0"])?, room(ROOM_B, &["t0"])?);
            link.closed(0).await
        }
        // On 01 and 02 the reference never takes back what was in ANNOUNCE_INIT (moq-net-0.3.18
        // src/lite/publisher.rs:792 does not note what it sends, which line 765 wants): there `room/a` comes later.
        "withdraw" if options.version <= 2 => {
            let link = connect().await?;
            sleep(ms(300)).await;
            let (first, _tracks) = room(ROOM_A, &["t0"])?;
            sleep(ms(300)).await;
            first.close();
            let _room = room(ROOM_B, &["t0"])?;
            link.closed(0).await
        }
        "withdraw" => {
            let (first, _tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            sleep(ms(300)).await;
            first.close();
            let _room = room(ROOM_B, &["t0"])?;
            link.closed(0).await
        }
        "subscribe-3" => {
            let (_room, tracks) = room(ROOM_A, &["t0", "t1", "t2"])?;
            let link = connect().await?;
            let [mut a, mut b, mut c]: [track::Producer; 3] = tracks.try_into().ok().expect("three tracks");
            link.during(async {
                // One after the other would wait for a subscriber that waits for all of them.
                let (a, b, c) = tokio::join!(
                    feed(&mut a, scenario, 5, ms(20)),
                    feed(&mut b, scenario, 5, ms(20)),
                    feed(&mut c, scenario, 5, ms(20)),
                );
                a.and(b).and(c)
            })
            .await?;
            link.closed(0).await
        }
        "subscribe-1" | "sizes" | "many-groups" | "end-of-track" | "priority-update" => {
            let (groups, gap) = match scenario {
                "many-groups" => (500, 2),
                "priority-update" => (20, 20),
                "subscribe-1" => (5, 20),
                _ => (3, 20),
            };
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            let track = &mut tracks[0];
            let mut watch = track.clone();
            let feeding = async {
                let update = async {
                    match scenario {
                        "priority-update" => prioritized(&mut watch, 200).await,
                        _ => Ok(()),
                    }
                };
                let (feed, update) = tokio::join!(feed(track, scenario, groups, ms(gap)), update);
                feed.and(update)
            };
            link.during(feeding).await?;
            link.closed(0).await
        }
        "late-join" => {
            let (_room, tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            link.during(pace(&tracks[0], scenario, 10, ms(100))).await?;
            link.closed(0).await
        }
        "range" | "fetch" | "track-info" | "unknown-broadcast" | "unknown-track" | "probe" => {
            let (_room, tracks) = room(ROOM_A, &["t0"])?;
            let groups = match scenario {
                "range" => 10,
                "track-info" | "unknown-broadcast" | "probe" => 0,
                _ => 5,
            };
            for sequence in 0..groups {
                write_group(&tracks[0], sequence, shape(scenario, sequence))?;
            }
            let link = connect().await?;
            if scenario == "probe" && link.over_websocket() && options.version != 4 {
                return unsupported(
                    "a WebSocket has no estimate of its rate to report (moq-net-0.3.18 src/lite/setup.rs:57, `detect`)",
                );
            }
            link.closed(0).await
        }
        "unsubscribe" | "stop" => {
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            tokio::select! {
                done = feed_forever(&mut tracks[0], scenario) => done?,
                _ = link.session.closed() => {}
            }
            link.closed(0).await
        }
        "datagrams" => {
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            let track = &mut tracks[0];
            link.during(async {
                asked(track).await?;
                for sequence in 0..50 {
                    if sequence != 0 {
                        sleep(ms(10)).await;
                    }
                    track.append_datagram(timestamp(sequence, 0), payload(sequence, 0, 100))?;
                }
                Ok(())
            })
            .await?;
            link.closed(0).await
        }
        "goaway" => {
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            let track = &mut tracks[0];
            link.during(async {
                asked(track).await?;
                write_group(track, 0, shape(scenario, 0))?;
                Ok(())
            })
            .await?;
            // A subscriber that has heard GOAWAY may leave before the group is there.
            sleep(ms(200)).await;
            link.session.drain().send(goaway::Goaway::new())?;
            link.closed(0).await
        }
        "reset" => {
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            let track = &mut tracks[0];
            link.during(async {
                asked(track).await?;
                write_group(track, 0, shape(scenario, 0))?;
                let mut group = track.create_group(1u64.into())?;
                group.write_frame(timestamp(1, 0), payload(1, 0, 100))?;
                sleep(ms(100)).await;
                group.abort(moq_net::Error::App(1))?;
                write_group(track, 2, shape(scenario, 2))?;
                Ok(())
            })
            .await?;
            link.closed(0).await
        }
        "close-subscriber" => {
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            tokio::select! {
                done = feed_forever(&mut tracks[0], scenario) => done?,
                _ = link.session.closed() => {}
            }
            link.closed(0x3e9).await
        }
        "close-publisher" | "loss" => {
            let (_room, mut tracks) = room(ROOM_A, &["t0"])?;
            let link = connect().await?;
            let track = &mut tracks[0];
            link.during(async {
                asked(track).await?;
                write_group(track, 0, shape(scenario, 0))?;
                sleep(ms(300)).await;
                Ok(())
            })
            .await?;
            if scenario == "loss" {
                report(Ok(()));
            }
            link.close_with(0x3ea).await;
            Ok(())
        }
        _ => unsupported(format!("no scenario {scenario}")),
    }
}
