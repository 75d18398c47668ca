//! The faults, each as long as it takes to matter, and what is waited for afterwards.

use super::Scene;
use super::cluster::Place;
use super::fleet::SESSION;
use super::proxy::Weather;
use std::thread::sleep;
use std::time::Duration;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// kill -9 of a limpid.
    KillLimpid,
    /// kill -9 of the broker.
    KillBroker,
    /// SIGSTOP of a limpid until the others have its partitions, then SIGCONT: a zombie.
    FreezeLimpid,
    /// SIGSTOP of the broker beyond the session time-outs, its own with its controller included: for
    /// a moment it is back and says that there are no brokers.
    FreezeBroker,
    /// Three limpids: they join, and leave one by one.
    JoinAndLeave,
    /// A raw and a clean topic get one more partition.
    Widen,
    /// Another policy, and SIGHUP.
    Reload,
    /// Every other record cannot be made clean.
    Burst,
    /// All connections are cut, again and again, then for a while.
    Cut,
    /// Connections stay open and nothing passes, beyond the session time-out.
    Stall,
    /// Some kilobytes a second.
    Trickle,
}

impl Turn {
    pub const ALL: [Self; 11] = [
        Self::KillLimpid,
        Self::Reload,
        Self::Burst,
        Self::Cut,
        Self::JoinAndLeave,
        Self::KillBroker,
        Self::FreezeLimpid,
        Self::Trickle,
        Self::Widen,
        Self::FreezeBroker,
        Self::Stall,
    ];
}

/// Makes the fault, and ends it.
pub fn make(turn: Turn, scene: &mut Scene) {
    match turn {
        Turn::KillLimpid => scene.fleet.kill(),
        Turn::KillBroker => {
            scene.broker.kill();
            scene.broker.up();
        }
        Turn::FreezeLimpid => {
            scene.fleet.freeze();
            scene.await_all_committed("the others to take over");
            scene.fleet.thaw();
        }
        Turn::FreezeBroker => {
            scene.broker.freeze();
            sleep(SESSION + Duration::from_secs(4));
            scene.broker.thaw();
        }
        Turn::JoinAndLeave => join_and_leave(scene),
        Turn::Widen => widen(scene),
        Turn::Reload => scene.fleet.reload(),
        Turn::Burst => {
            scene.feed.burst(true);
            sleep(Duration::from_secs(3));
            scene.feed.burst(false);
        }
        Turn::Cut => cut(scene),
        Turn::Stall => weather(scene, Weather::Stalled, SESSION + Duration::from_secs(1)),
        Turn::Trickle => weather(scene, Weather::Trickling, Duration::from_secs(5)),
    }
}

fn join_and_leave(scene: &mut Scene) {
    let before = scene.fleet.count();
    for _ in 0..3 {
        scene.fleet.start();
    }
    scene.await_all_committed("the larger group");
    while scene.fleet.count() > before {
        scene.fleet.retire();
    }
}

/// By turns the clean topic first, as the manual says, and the raw one first, so that its records
/// have nowhere to go for a while.
fn widen(scene: &mut Scene) {
    let topic = 0;
    let partition = scene.places.iter().filter(|place| place.topic == topic).count();
    let place = Place { topic, partition: i32::try_from(partition).unwrap() };
    let (raw, clean) = (&scene.cluster.raw_topics()[topic], &scene.cluster.clean_topics()[topic]);
    if partition.is_multiple_of(2) {
        scene.cluster.widen(raw, partition + 1);
        scene.feed.add(place);
        sleep(Duration::from_secs(3));
        scene.cluster.widen(clean, partition + 1);
    } else {
        scene.cluster.widen(clean, partition + 1);
        scene.cluster.widen(raw, partition + 1);
        scene.feed.add(place);
    }
    scene.places.push(place);
}

fn cut(scene: &Scene) {
    for _ in 0..4 {
        weather(scene, Weather::Cut, Duration::ZERO);
        sleep(Duration::from_millis(500));
    }
    weather(scene, Weather::Cut, Duration::from_secs(2));
}

fn weather(scene: &Scene, weather: Weather, time: Duration) {
    scene.proxy.set(weather);
    sleep(time);
    scene.proxy.set(Weather::Clear);
}
