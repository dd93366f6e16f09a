//! A replica in a network of its own, with a real link to where its database is: what is lost on it is
//! lost without a word, in one direction or in both.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Error},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where the replica reaches its database.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const SPOKE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Nobody's. What is sent to it is dropped by whoever gets it.
const NOBODY: &str = "02:00:00:00:00:01";

/// A network namespace. It is nobody's when the test is gone, however that ended: who holds it reads a pipe.
#[derive(Debug)]
pub(crate) struct Space {
    holder: Child,
    net: PathBuf,
}

/// Two of them, and a cable.
#[derive(Debug)]
pub(crate) struct Link {
    hub: Space,
    pub(crate) spoke: Arc<Space>,
}

/// Which way nothing arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// From the replica to the database.
    Up,
    Down,
    Both,
}

impl Space {
    fn new() -> io::Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C at the terminal is for the test.
            .process_group(0)
            .spawn()?;
        let net = PathBuf::from(format!("/proc/{}/ns/net", holder.id()));
        let mut said = String::new();
        if let Some(out) = holder.stdout.take() {
            BufReader::new(out).read_line(&mut said)?;
        }
        let space = Self { holder, net };
        if said.trim() == "ready" { Ok(space) } else { Err(Error::other("no network namespace")) }
    }

    /// A program that runs in it, as it would outside.
    pub(crate) fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.net.display())).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn run(&self, program: &str, arguments: &str) -> io::Result<()> {
        let mut inner = Command::new(program);
        inner.args(arguments.split_whitespace());
        let output = self.command(&inner).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(Error::other(format!("{program} {arguments}: {said}"))) }
    }

    /// What a thread does that is in it. A socket stays in the namespace that it was made in.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let net = File::open(&self.net)?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            inside.join().map_err(|_| Error::other("a thread"))?
        })
    }

    /// A way to what listens on the loopback in it.
    pub(crate) fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let stream = self.within(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = (self.holder.kill(), self.holder.wait());
    }
}

impl Link {
    /// None where this machine does not let us; it says so. A machine that lets us must have it.
    pub(crate) fn try_new() -> Option<Self> {
        let may = fs::read_to_string("/proc/self/status").unwrap_or_default().lines().any(may_administer);
        let lacking = ["unshare", "nsenter", "ip"].into_iter().find(|tool| !is_there(tool));
        let why = match (may, lacking) {
            (false, _) => "this process may not administer networks".to_owned(),
            (true, Some(tool)) => format!("there is no `{tool}` here"),
            (true, None) => match Self::new() {
                Ok(link) => return Some(link),
                Err(error) => {
                    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
                    assert!(!in_ci, "CI=true skips nothing that the machine could do: {error}");
                    error.to_string()
                }
            },
        };
        println!("SKIPPED: faults of a real network, for which the proxies stand: {why}");
        None
    }

    fn new() -> io::Result<Self> {
        let (hub, spoke) = (Space::new()?, Space::new()?);
        hub.run("ip", &format!("link add hub type veth peer name spoke netns {}", spoke.holder.id()))?;
        for (space, name, address) in [(&hub, "hub", HUB), (&spoke, "spoke", SPOKE)] {
            space.run("ip", &format!("address add {address}/30 dev {name}"))?;
            space.run("ip", &format!("link set {name} up"))?;
        }
        Ok(Self { hub, spoke: Arc::new(spoke) })
    }

    /// At the database's end of the cable, and its address as the replica sees it.
    pub(crate) fn listen(&self) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = self.hub.within(|| TcpListener::bind((HUB, 0)))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// Packets are lost on their way, and neither end is told.
    pub(crate) fn lose(&self, lost: Lost) {
        for (space, name, other, is_lost) in
            [(&*self.spoke, "spoke", HUB, lost != Lost::Down), (&self.hub, "hub", SPOKE, lost != Lost::Up)]
        {
            if is_lost {
                space
                    .run("ip", &format!("neighbour replace {other} lladdr {NOBODY} dev {name} nud permanent"))
                    .expect("ip");
            }
        }
    }

    /// The cable is pulled out at the database's end.
    pub(crate) fn pull(&self) {
        self.hub.run("ip", "link set hub down").expect("ip");
    }

    pub(crate) fn heal(&self) {
        for (space, name, other) in [(&*self.spoke, "spoke", HUB), (&self.hub, "hub", SPOKE)] {
            space.run("ip", &format!("link set {name} up")).expect("ip");
            // Whoever it is looked up by then is found anew; where nothing was changed there may be nobody.
            let _ = space.run("ip", &format!("neighbour del {other} dev {name}"));
        }
    }
}

fn is_there(tool: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(tool).exists())
}

/// Whether this line of a process's status says that it may administer networks and systems.
fn may_administer(line: &str) -> bool {
    const BOTH: u64 = (1 << 12) | (1 << 21);
    let set = line.strip_prefix("CapEff:").and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & BOTH == BOTH)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        time::Duration,
    };

    use super::*;

    #[test]
    fn what_is_lost_arrives_later_or_never_and_nobody_is_told() {
        let Some(link) = Link::try_new() else { return };
        let (listener, address) = link.listen().expect("a port");
        listener.set_nonblocking(false).expect("a socket");
        let replica = link.spoke.within(move || TcpStream::connect(address)).expect("a way");
        let database = listener.accept().expect("a connection").0;
        let wait = Some(Duration::from_millis(300));
        for stream in [&replica, &database] {
            stream.set_read_timeout(wait).expect("a socket");
            // Nor does what was not acknowledged hold back what comes next.
            stream.set_nodelay(true).expect("a socket");
        }
        let read = |mut stream: &TcpStream| {
            let mut byte = [0];
            stream.read(&mut byte).map(|_| byte[0]).ok()
        };
        // TCP sends again what was lost, and before that perhaps nothing else.
        let arrives = |stream: &TcpStream| (0..20).find_map(|_| read(stream));
        let send = |up: u8, down: u8| {
            (&replica).write_all(&[up]).expect("nobody is told");
            (&database).write_all(&[down]).expect("nobody is told");
        };
        send(1, 2);
        assert_eq!((arrives(&database), arrives(&replica)), (Some(1), Some(2)));
        for (number, lost) in [(10, Lost::Up), (20, Lost::Down), (30, Lost::Both)] {
            link.lose(lost);
            send(number, number + 1);
            let (up, down) = match lost {
                Lost::Up => (read(&database), arrives(&replica)),
                Lost::Down => (arrives(&database), read(&replica)),
                Lost::Both => (read(&database), read(&replica)),
            };
            assert_eq!((up.is_none(), down.is_none()), (lost != Lost::Down, lost != Lost::Up), "{lost:?}");
            link.heal();
            let late = (up.or_else(|| arrives(&database)), down.or_else(|| arrives(&replica)));
            assert_eq!(late, (Some(number), Some(number + 1)), "{lost:?}: it is sent again");
        }
    }
}
