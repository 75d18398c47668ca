//! A TCP proxy that cuts, stalls and trickles what passes it: the network, when it is unwell.
//!
//! The broker has a listener for it and advertises the proxy's address there, so clients that begin
//! at the proxy are told to stay with it; nothing of theirs goes around.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What becomes of bytes that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Clear,
    /// Connections stay open and nothing passes.
    Stalled,
    /// Some ten kilobytes a second pass, in each direction of each connection.
    Trickling,
    /// Towards the broker requests pass that fit into a few kilobytes, of others a hundred kilobytes a
    /// second; what it sends passes freely.
    Clogged,
    /// Connections are cut, new ones at once.
    Cut,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToBroker,
    FromBroker,
}

/// How much passes at a time while it trickles, and while it is clogged, and how often.
const DROP_BYTES: usize = 512;
const SIP_BYTES: usize = 8 << 10;
const DROP_EVERY: Duration = Duration::from_millis(50);

pub struct Proxy {
    address: SocketAddr,
    gate: Arc<Gate>,
    accepting: Option<JoinHandle<()>>,
}

struct Gate {
    weather: Mutex<Weather>,
    changed: Condvar,
    /// Both ends of each connection; those of ended ones stay until the next cut.
    open: Mutex<Vec<TcpStream>>,
    passed: AtomicU64,
    over: AtomicBool,
}

impl Proxy {
    /// Listens on one port and connects to the other.
    pub fn start(listen: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", listen)).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Gate {
            weather: Mutex::new(Weather::Clear),
            changed: Condvar::new(),
            open: Mutex::default(),
            passed: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let shared = gate.clone();
        let accepting = thread::spawn(move || accept(&listener, to, &shared));
        Self { address, gate, accepting: Some(accepting) }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, weather: Weather) {
        *self.gate.weather.lock().unwrap() = weather;
        self.gate.changed.notify_all();
        if weather == Weather::Cut {
            self.gate.cut();
        }
    }

    /// Bytes that have passed so far, both ways.
    pub fn passed(&self) -> u64 {
        self.gate.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.gate.over.store(true, Ordering::Relaxed);
        self.set(Weather::Cut);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn accept(listener: &TcpListener, to: u16, gate: &Arc<Gate>) {
    while let Ok((theirs, _)) = listener.accept() {
        if gate.over.load(Ordering::Relaxed) {
            return;
        }
        if gate.weather() != Weather::Cut {
            // Without a broker behind it the connection ends, as it would without a proxy.
            let _ = TcpStream::connect(("127.0.0.1", to)).map(|ours| join(theirs, ours, gate));
        }
    }
}

fn join(theirs: TcpStream, ours: TcpStream, gate: &Arc<Gate>) {
    for (from, to, way) in [(&theirs, &ours, Way::ToBroker), (&ours, &theirs, Way::FromBroker)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let gate = gate.clone();
        thread::spawn(move || carry(from, to, way, &gate));
    }
    gate.open.lock().unwrap().extend([theirs, ours]);
}

/// One direction of a connection, until either end closes.
fn carry(mut from: TcpStream, mut to: TcpStream, way: Way, gate: &Gate) {
    let mut buffer = vec![0; 64 << 10];
    'open: while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(gate.allowed(rest.len(), way));
            if to.write_all(now).is_err() {
                break 'open;
            }
            rest = later;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

impl Gate {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Waits until some of so many bytes may pass; gives how many.
    fn allowed(&self, bytes: usize, way: Way) -> usize {
        let mut weather = self.weather.lock().unwrap();
        while *weather == Weather::Stalled {
            weather = self.changed.wait(weather).unwrap();
        }
        let (most, held_up) = match *weather {
            Weather::Trickling => (DROP_BYTES, true),
            Weather::Clogged if way == Way::ToBroker => (SIP_BYTES, bytes > SIP_BYTES),
            _ => (bytes, false),
        };
        if held_up {
            weather = self.changed.wait_timeout(weather, DROP_EVERY).unwrap().0;
        }
        let allowed = bytes.min(most);
        drop(weather);
        self.passed.fetch_add(allowed as u64, Ordering::Relaxed);
        allowed
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn bytes_pass_stall_trickle_and_are_cut() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(0, server.local_addr().unwrap().port());
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let (mut served, _) = server.accept().unwrap();
    let mut got = [0; 4];

    client.write_all(b"pass").unwrap();
    served.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"pass");

    proxy.set(Weather::Stalled);
    client.write_all(b"wait").unwrap();
    served.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(served.read(&mut got).is_err(), "nothing passes");

    proxy.set(Weather::Trickling);
    served.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    served.read_exact(&mut got).unwrap();
    assert_eq!((&got, proxy.passed()), (b"wait", 8));

    proxy.set(Weather::Cut);
    assert_eq!(served.read(&mut got).unwrap_or(0), 0, "the connection is closed");
    let mut refused = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(refused.read(&mut got).unwrap_or(0), 0, "and new ones too");
}
