//! A program at a terminal of a given width, with somebody who types.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What stood on the terminal in the end, and the exit code.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

/// Runs `command` as the leader of a session of its own, whose terminal it is. `typed`: behind
/// which text what is typed.
pub(crate) fn at_a_terminal(command: &Command, columns: u16, typed: &[(&str, &str)]) -> Shown {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&controller).expect("grant");
    unlockpt(&controller).expect("unlock");
    tcsetwinsize(&controller, Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("a width");
    let name = ptsname(&controller, Vec::new()).expect("its name");
    let end = || {
        let file = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("the terminal");
        Stdio::from(file)
    };
    let mut child = {
        // A safe program takes no terminal for its own: util-linux's does it.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            session.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid")
    };
    let mut keyboard = File::from(controller);
    let mut screen = keyboard.try_clone().expect("the terminal");
    let (send, chunks) = sync_channel::<Vec<u8>>(1000);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        // EIO: nobody has the other end open any more.
        while let Ok(read @ 1..) = screen.read(&mut chunk) {
            if send.send(chunk[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    let (mut seen, mut typed) = (Vec::new(), typed.iter());
    let mut next = typed.next();
    while let Ok(chunk) = chunks.recv_timeout(PATIENCE) {
        seen.extend(chunk);
        if let Some((prompt, answer)) = next
            && String::from_utf8_lossy(&seen).contains(prompt)
        {
            keyboard.write_all(answer.as_bytes()).expect("type");
            next = typed.next();
        }
    }
    let code = child.wait().expect("end").code();
    assert!(next.is_none(), "{next:?} was never typed: {}", String::from_utf8_lossy(&seen));
    Shown { code, text: String::from_utf8(seen).expect("UTF-8").replace("\r\n", "\n") }
}
