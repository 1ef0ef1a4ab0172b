//! The subscriber's side of every scenario, and `reverse`, in which both are both.

use std::collections::BTreeSet;
use std::time::Duration;

use moq_net::track::{Position, Subscriber, Subscription};
use moq_net::{Error, Pattern, Patterns, origin, track};
use tokio::time::{sleep, timeout};

use crate::data::{ROOM_A, ROOM_B, check_frame, max_age, offer, read_group, shape};
use crate::link::{Link, Roles};
use crate::options::{Options, Result, fail, stage, unsupported};
use crate::publish::{feed, ms};

/// A session that publishes nothing, and what its peer announces.
struct Audience {
    options: Options,
    origin: origin::Producer,
    link: Link,
}

impl Audience {
    async fn track(&self, path: &str, name: &str) -> Result<track::Consumer> {
        stage(format!("waiting for the announcement of {path}"));
        Ok(self.origin.consume().routed_broadcast(path).await?.track(name)?)
    }

    /// What most scenarios subscribe with: all that is still there, where the version can ask for it.
    fn all(&self) -> Subscription {
        let live = self.live();
        match self.options.version {
            1 | 2 => live,
            _ => live.with_start(Position::group(0)),
        }
    }

    /// What is live when the subscription arrives.
    fn live(&self) -> Subscription {
        Subscription::default().with_max_age(max_age(&self.options.scenario))
    }

    async fn subscribe(&self, name: &str) -> Result<Subscriber> {
        let track = self.track(ROOM_A, name).await?;
        stage(format!("subscribing to {name}"));
        Ok(track.subscribe(self.all()).await?)
    }

    /// Reads the next group whole.
    async fn next(&self, track: &mut Subscriber) -> Result<u64> {
        match self.next_or_end(track).await? {
            Some(sequence) => Ok(sequence),
            None => fail(format!("{} ended", track.name())),
        }
    }

    async fn next_or_end(&self, track: &mut Subscriber) -> Result<Option<u64>> {
        stage(format!("waiting for a group of {}", track.name()));
        let Some(mut group) = track.recv_group().await? else {
            return Ok(None);
        };
        let sequence = group.sequence;
        stage(format!("reading group {sequence} of {}", track.name()));
        read_group(
            &mut group,
            shape(&self.options.scenario, sequence),
            self.options.timed(),
        )
        .await?;
        Ok(Some(sequence))
    }

    /// Reads until each of `groups` was there.
    async fn exactly(&self, track: &mut Subscriber, groups: std::ops::Range<u64>) -> Result<()> {
        let mut seen = BTreeSet::new();
        while seen.len() < (groups.end - groups.start) as usize {
            let sequence = self.next(track).await?;
            if !groups.contains(&sequence) || !seen.insert(sequence) {
                return fail(format!("group {sequence} after {seen:?}"));
            }
        }
        Ok(())
    }

    /// The track has to end now.
    async fn ended(&self, track: &mut Subscriber) -> Result<()> {
        match self.next_or_end(track).await? {
            None => Ok(()),
            Some(sequence) => fail(format!("group {sequence} after the last one")),
        }
    }
}

/// Checks the announcements below `room`, in any order, and nothing else.
async fn discover(origin: &origin::Producer, want: &[(&str, bool)], ordered: bool) -> Result<()> {
    let mut announced = origin.consume().announced();
    let mut want = want.to_vec();
    while !want.is_empty() {
        stage(format!("waiting for {want:?}"));
        let Some(update) = announced.next().await else {
            return fail("announcements ended");
        };
        let heard = (update.prefix.as_str(), update.kind.is_active());
        match want.iter().position(|wanted| *wanted == heard) {
            Some(at) if at == 0 || !ordered => want.remove(at),
            _ => return fail(format!("heard {heard:?} while waiting for {want:?}")),
        };
    }
    Ok(())
}

/// A track or broadcast that is not there: the refusal may come at any step.
async fn refused(track: track::Consumer, subscription: Subscription) -> Result<()> {
    stage("waiting for a refusal");
    let error = match track.subscribe(subscription).await {
        Err(error) => error,
        Ok(mut track) => match track.recv_group().await {
            Err(error) => error,
            Ok(None) => return fail("the track ended instead of being refused"),
            Ok(Some(group)) => return fail(format!("got group {} of what is not there", group.sequence)),
        },
    };
    eprintln!("refused with {error:?}");
    Ok(())
}

pub async fn subscribe(options: &Options) -> Result<()> {
    let scenario = options.scenario.as_str();
    if scenario == "stop" {
        return unsupported(
            "moq-net reads a group into its cache whoever still reads it: only the end of the track or an abort of the \
             group stops its stream (moq-net-0.3.18 src/lite/subscriber.rs:859-868)",
        );
    }
    let origin = moq_tokio::origin::spawn();
    // Scoped, so that the prefix of the request is `room`; the others ask for everything.
    let heard = match scenario {
        "announce-discover" | "discover-announce" | "withdraw" => {
            origin.scope("", &Patterns::from(Pattern::subtree("room").expect("a prefix")))?
        }
        _ => origin.clone(),
    };
    let link = Link::open(
        options,
        Roles {
            publish: None,
            subscribe: Some(heard),
        },
    )
    .await?;
    let audience = Audience {
        options: Options::parse()?,
        origin,
        link,
    };
    let work = scene(&audience);
    match scenario {
        // These end, or may end, with the session.
        "close-publisher" | "loss" => {
            work.await?;
            if scenario == "close-publisher" {
                return audience.link.closed(0x3ea).await;
            }
            return match audience.link.session.closed().await {
                Error::Transport(_) => Ok(()),
                error => fail(format!("the session ended with {error:?}")),
            };
        }
        "close-subscriber" => {
            audience.link.during(work).await?;
            audience.link.close_with(0x3e9).await;
        }
        _ => {
            audience.link.during(work).await?;
            audience.link.close().await;
        }
    }
    Ok(())
}

async fn scene(audience: &Audience) -> Result<()> {
    let (options, origin) = (&audience.options, &audience.origin);
    match options.scenario.as_str() {
        "announce-discover" => {
            sleep(ms(300)).await;
            discover(origin, &[(ROOM_A, true), (ROOM_B, true)], false).await
        }
        "discover-announce" => discover(origin, &[(ROOM_A, true), (ROOM_B, true)], false).await,
        "withdraw" => discover(origin, &[(ROOM_A, true), (ROOM_A, false), (ROOM_B, true)], true).await,
        "subscribe-1" => audience.exactly(&mut audience.subscribe("t0").await?, 0..5).await,
        "subscribe-3" => {
            let mut tracks = Vec::new();
            for name in ["t0", "t1", "t2"] {
                tracks.push(audience.subscribe(name).await?);
            }
            for mut track in tracks {
                audience.exactly(&mut track, 0..5).await?;
            }
            Ok(())
        }
        "late-join" => {
            sleep(ms(450)).await;
            let track = audience.track(ROOM_A, "t0").await?;
            let mut track = track.subscribe(audience.live()).await?;
            let mut seen = BTreeSet::new();
            while !seen.contains(&9) {
                seen.insert(audience.next(&mut track).await?);
            }
            let first = *seen.first().expect("at least group 9");
            match first <= 6 && seen.len() as u64 == 10 - first {
                true => Ok(()),
                false => fail(format!("got the groups {seen:?}")),
            }
        }
        "range" => {
            let track = audience.track(ROOM_A, "t0").await?;
            let mut track = track.subscribe(audience.live().with_groups(2..=4)).await?;
            audience.exactly(&mut track, 2..5).await?;
            // The reference does not end a bounded subscription by itself.
            match timeout(ms(500), audience.ended(&mut track)).await {
                Ok(result) => result,
                Err(_) => Ok(()),
            }
        }
        "priority-update" => {
            let track = audience.track(ROOM_A, "t0").await?;
            let wanted = audience.all().with_priority(1);
            let mut track = track.subscribe(wanted.clone()).await?;
            audience.exactly(&mut track, 0..3).await?;
            track.update(wanted.with_priority(200))?;
            audience.exactly(&mut track, 3..20).await
        }
        "sizes" => audience.exactly(&mut audience.subscribe("t0").await?, 0..3).await,
        "many-groups" => audience.exactly(&mut audience.subscribe("t0").await?, 0..500).await,
        "end-of-track" => {
            let mut track = audience.subscribe("t0").await?;
            audience.exactly(&mut track, 0..3).await?;
            audience.ended(&mut track).await
        }
        "unknown-broadcast" => {
            // `room/none` cannot be asked for, as no announcement covers it (moq-net src/model/origin.rs:4690).
            audience.track(ROOM_A, "t0").await?;
            refused(audience.track("room/a/none", "t0").await?, audience.all()).await?;
            discover(origin, &[(ROOM_A, true)], true).await
        }
        "unknown-track" => {
            refused(audience.track(ROOM_A, "none").await?, audience.all()).await?;
            audience.next(&mut audience.subscribe("t0").await?).await?;
            Ok(())
        }
        "unsubscribe" => {
            let mut track = audience.subscribe("t0").await?;
            audience.next(&mut track).await?;
            let mut last = audience.next(&mut track).await?;
            drop(track);
            sleep(ms(300)).await;
            let track = audience.track(ROOM_A, "t0").await?;
            let mut track = track.subscribe(Subscription::default()).await?;
            // What is in the cache of this side does not count.
            for _ in 0..2 {
                let before = last;
                while last <= before {
                    last = audience.next(&mut track).await?;
                }
            }
            Ok(())
        }
        "fetch" => {
            let track = audience.track(ROOM_A, "t0").await?;
            stage("fetching group 1");
            let mut group = track.fetch_group(1, None).await?;
            read_group(&mut group, shape("fetch", 1), options.timed()).await?;
            stage("fetching group 99");
            match track.fetch_group(99, None).await {
                Ok(_) => fail("group 99 is there"),
                Err(error) => {
                    eprintln!("refused with {error:?}");
                    Ok(())
                }
            }
        }
        "track-info" => {
            let track = audience.track(ROOM_A, "t0").await?;
            stage("asking for the track's information");
            let info = track.query().await?;
            match info.timescale.as_u64() {
                1000 => Ok(()),
                other => fail(format!("the timescale is {other}")),
            }
        }
        "datagrams" => {
            let mut track = audience.subscribe("t0").await?;
            let mut seen = BTreeSet::new();
            while let Ok(datagram) = timeout(ms(1500), track.recv_datagram()).await {
                let Some(datagram) = datagram? else { break };
                check_frame(datagram.sequence, 0, 100, &datagram.payload)?;
                seen.insert(datagram.sequence);
                if seen.len() == 50 {
                    break;
                }
            }
            match seen.len() {
                40.. => Ok(()),
                count => fail(format!("only {count} datagrams")),
            }
        }
        "probe" => probe(audience).await,
        "goaway" => {
            audience.next(&mut audience.subscribe("t0").await?).await?;
            stage("waiting for GOAWAY");
            match audience.link.session.draining().recv().await {
                Some(goaway) if goaway.uri().is_empty() => Ok(()),
                Some(goaway) => fail(format!("GOAWAY names {}", goaway.uri())),
                None => fail("the session ended without GOAWAY"),
            }
        }
        "reset" => {
            let mut track = audience.subscribe("t0").await?;
            let mut whole = BTreeSet::new();
            while !whole.contains(&2) {
                let Some(mut group) = track.recv_group().await? else {
                    return fail("the track ended");
                };
                let sequence = group.sequence;
                match read_group(&mut group, shape("reset", sequence), options.timed()).await {
                    Ok(()) => whole.insert(sequence),
                    Err(stop) if sequence != 1 => return Err(stop),
                    Err(_) => continue,
                };
            }
            match whole.contains(&0) && !whole.contains(&1) {
                true => Ok(()),
                false => fail(format!("the groups {whole:?} were whole")),
            }
        }
        "close-subscriber" | "close-publisher" | "loss" => {
            audience.next(&mut audience.subscribe("t0").await?).await?;
            stage("waiting for the end of the session");
            Ok(())
        }
        other => unsupported(format!("no scenario {other}")),
    }
}

async fn probe(audience: &Audience) -> Result<()> {
    let Some(mut bandwidth) = audience.link.session.recv_bandwidth() else {
        return fail("the session has no measurement of what it receives");
    };
    stage("waiting for a report of a probe");
    let patience = if audience.link.over_websocket() {
        ms(5000)
    } else {
        audience.options.timeout
    };
    let rate = async {
        loop {
            if let Some(rate) = bandwidth.peek() {
                return Ok::<_, Error>(rate);
            }
            bandwidth.changed().await?;
        }
    };
    match timeout(patience, rate).await {
        Ok(rate) => println!(r#"{{"rate":{}}}"#, rate?.as_bps()),
        Err(_) => return unsupported("reports without a bitrate are not shown (moq-net-0.3.18 src/session.rs:148)"),
    }
    Ok(())
}

/// Both sides announce a broadcast and read the other's.
pub async fn reverse(options: &Options) -> Result<()> {
    let dialler = options.dial.is_some();
    let (ours, theirs) = if dialler { (ROOM_A, ROOM_B) } else { (ROOM_B, ROOM_A) };
    let (publish, subscribe) = (moq_tokio::origin::spawn(), moq_tokio::origin::spawn());
    let (_room, mut tracks) = offer(&publish, ours, &["t0"], Duration::from_secs(10))?;
    let link = Link::open(
        options,
        Roles {
            publish: Some(publish),
            subscribe: Some(subscribe.clone()),
        },
    )
    .await?;
    let audience = Audience {
        options: Options::parse()?,
        origin: subscribe,
        link,
    };
    let write = feed(&mut tracks[0], "reverse", 5, ms(20));
    let read = async {
        let track = audience.track(theirs, "t0").await?;
        let mut track = track.subscribe(audience.all()).await?;
        audience.exactly(&mut track, 0..5).await
    };
    let both = async {
        let (write, read) = tokio::join!(write, read);
        write.and(read)
    };
    audience.link.during(both).await?;
    if !dialler {
        return audience.link.closed(0).await;
    }
    sleep(ms(300)).await;
    audience.link.close().await;
    Ok(())
}
